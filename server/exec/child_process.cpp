#include "server/exec/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/exec/spawn.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kTermGrace{2};  // from SIGTERM to SIGKILL

// A pipe for the child. The hooked pipe() would make both ends non-blocking; here only the server's
// may be.
int MakePipe(UniqueFd* read, UniqueFd* write) {
  int ends[2];
  if (::syscall(SYS_pipe2, ends, O_CLOEXEC) != 0) return errno;
  read->Reset(ends[0]);
  write->Reset(ends[1]);
  return 0;
}

void MakeNonBlocking(const UniqueFd& fd) {
  ::syscall(SYS_fcntl, fd.get(), F_SETFL, ::syscall(SYS_fcntl, fd.get(), F_GETFL) | O_NONBLOCK);
}

bool Ended(int pidfd, int* status) {
  siginfo_t info{};
  if (::syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, nullptr) != 0 ||
      info.si_pid == 0)
    return false;
  *status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  return true;
}

// The last resort of what EndLater() was left with.
void EndGroup(pid_t pid, const UniqueFd& pidfd, coroutine::Clock::duration grace) {
  int status = 0;
  const auto wait = [&](coroutine::Clock::duration time) {
    static_cast<void>(coroutine::WaitFd(pidfd.get(), EPOLLIN, coroutine::After(time)));
    return Ended(pidfd.get(), &status);
  };
  const auto signal_group = [&](int number) { ::syscall(SYS_kill, -pid, number); };
  bool ended = grace.count() > 0 && wait(grace);
  if (!ended) {
    signal_group(SIGTERM);
    ended = wait(kTermGrace);
    signal_group(SIGKILL);
  }
  while (!ended) ended = wait(std::chrono::seconds(1));
  coroutine::ForgetFd(pidfd.get());
}

}  // namespace

void ChildProcess::Close(UniqueFd& fd) {
  if (fd) coroutine::ForgetFd(fd.get());
  fd.Reset();
}

int ChildProcess::Start(const std::string& path, const std::string& directory,
                        const ResourceLimits& limits, char** arguments, char** environment) {
  UniqueFd child_input;
  UniqueFd child_output;
  UniqueFd child_errors;
  if (const int error = MakePipe(&child_input, &input_)) return error;
  if (const int error = MakePipe(&output_, &child_output)) return error;
  if (const int error = MakePipe(&errors_, &child_errors)) return error;
  for (const UniqueFd* fd : {&input_, &output_, &errors_}) MakeNonBlocking(*fd);

  SpawnPlan plan;
  plan.path = path.c_str();
  plan.directory = directory.c_str();
  plan.arguments = arguments;
  plan.environment = environment;
  plan.standard[0] = child_input.get();
  plan.standard[1] = child_output.get();
  plan.standard[2] = child_errors.get();
  plan.limits = limits;
  return SpawnProcess(plan, &pid_, &pidfd_);
}

bool ChildProcess::Reap(int* status) {
  if (!Ended(pidfd_.get(), status)) return false;
  pid_ = -1;
  Close(pidfd_);
  return true;
}

void ChildProcess::EndLater(coroutine::Clock::duration grace) {
  Close(input_);
  Close(output_);
  Close(errors_);
  int status;
  if (pid_ < 0 || Reap(&status)) return;
  coroutine::ForgetFd(pidfd_.get());
  const auto pidfd = std::make_shared<UniqueFd>(std::move(pidfd_));
  const pid_t pid = std::exchange(pid_, -1);
  try {
    coroutine::Go([pid, pidfd, grace] { EndGroup(pid, *pidfd, grace); }, {.name = "reaper"});
  } catch (const std::system_error&) {  // no coroutine to be had: at once, then
    ::syscall(SYS_kill, -pid, SIGKILL);
    ::syscall(SYS_wait4, pid, nullptr, 0, nullptr);
  }
}

}  // namespace cogi::server
