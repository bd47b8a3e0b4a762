#include "server/worker_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "server/real_calls.h"

namespace cogi::server {
namespace {

int g_pipe_write = -1;
ssize_t (*g_write)(int, const void*, size_t) = nullptr;

void OnSignal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A full pipe means that the worker has plenty to do already: signals of one kind are merged.
  if (g_write(g_pipe_write, &byte, 1) < 0) errno = 0;
  errno = saved;
}

}  // namespace

int InstallWorkerSignals() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
  g_pipe_write = ends[1];
  g_write = Real().write;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2})
    sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  return ends[0];
}

}  // namespace cogi::server
