#include "server/upgrade.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "coroutine/deadline.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr const char* kVariable = "COGI_HANDOVER";
constexpr std::chrono::seconds kCheckLimit{10};

// Where this program was started from: the kernel marks a file that has been replaced since.
std::string Executable() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  std::string name(path, static_cast<size_t>(size < 0 ? 0 : size));
  constexpr std::string_view kDeleted = " (deleted)";
  if (name.ends_with(kDeleted)) name.resize(name.size() - kDeleted.size());
  return name;
}

std::vector<std::string> Arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What became of `program` with `words`: "" if it ended with 0, else how it did not.
std::string FailureOf(const std::string& program, std::vector<std::string> words) {
  std::vector<char*> argv = Pointers(words);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoText(errno);  // below, -1 would be all processes
  if (pid == 0) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  const auto limit = coroutine::After(kCheckLimit);
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (coroutine::Clock::now() > limit) kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (!WIFEXITED(status)) return "it does not end, or was killed";
  return WEXITSTATUS(status) == 0 ? "" : Concat("exit code ", WEXITSTATUS(status));
}

void SetCloseOnExec(int fd, bool on) { fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); }

void SetCloseOnExec(const Handover& handover, bool on) {
  for (const auto& [address, listener] : handover.listeners)
    for (const int fd : {listener.fd, listener.relay_in, listener.relay_out})
      SetCloseOnExec(fd, on);
  for (const Handover::Worker& worker : handover.workers) SetCloseOnExec(worker.channel, on);
}

}  // namespace

std::string CheckNewVersion(const std::string& config) {
  const std::string program = Executable();
  if (const std::string why = FailureOf(program, {program, "--version"}); !why.empty())
    return Concat("the new ", program, " does not start (", why, ")");
  if (config.empty()) return {};
  if (const std::string why = FailureOf(program, {program, "check", config}); !why.empty())
    return Concat("the new ", program, " does not take ", config, " (", why,
                  "); its check says more");
  return {};
}

std::string BecomeNewVersion(const Handover& handover) {
  std::string text = Concat("N ", handover.next_serial, " ", handover.reloads, "\n");
  for (const auto& [address, listener] : handover.listeners)
    text += Concat("L ", listener.fd, " ", listener.relay_in, " ", listener.relay_out, " ", address,
                   "\n");
  for (const Handover::Worker& worker : handover.workers)
    text += Concat("W ", worker.pid, " ", worker.channel, "\n");
  setenv(kVariable, text.c_str(), 1);
  SetCloseOnExec(handover, false);
  std::vector<std::string> words = Arguments();
  execv(Executable().c_str(), Pointers(words).data());
  const int error = errno;
  SetCloseOnExec(handover, true);
  unsetenv(kVariable);
  return Concat("the new version cannot be executed: ", ErrnoText(error));
}

std::optional<Handover> TakeHandover() {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return std::nullopt;
  Handover handover;
  std::istringstream lines(text);
  unsetenv(kVariable);
  for (char kind = 0; lines >> kind;) {
    if (kind == 'N') {
      lines >> handover.next_serial >> handover.reloads;
    } else if (kind == 'W') {
      Handover::Worker worker{};
      lines >> worker.pid >> worker.channel;
      handover.workers.push_back(worker);
    } else {
      Handover::Listener listener{};
      std::string address;
      lines >> listener.fd >> listener.relay_in >> listener.relay_out;
      lines.ignore(1);
      std::getline(lines, address);
      handover.listeners[address] = listener;
    }
  }
  SetCloseOnExec(handover, true);
  return handover;
}

}  // namespace cogi::server
