#include "server/exec/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/exec/spawn.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kTermGrace{2};        // from SIGTERM to SIGKILL
constexpr std::chrono::milliseconds kLookAgain{10};  // where no descriptor tells of the end

// A pipe for the child. The hooked pipe() would make both ends non-blocking; here only the server's
// may be.
int MakePipe(UniqueFd* read, UniqueFd* write) {
  int ends[2];
  if (::syscall(SYS_pipe2, ends, O_CLOEXEC) != 0) return errno;
  read->Reset(ends[0]);
  write->Reset(ends[1]);
  return 0;
}

// Of an end that MakePipe() has made: it has no other flags.
void MakeNonBlocking(const UniqueFd& fd) { ::syscall(SYS_fcntl, fd.get(), F_SETFL, O_NONBLOCK); }

// Takes the status of a process that has ended. ECHILD: a handler has waited for all children, this
// one among them; nobody knows its status.
bool TakeStatus(pid_t pid, int* status) {
  siginfo_t info{};
  *status = 0;
  if (::syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG, nullptr) != 0)
    return errno == ECHILD;
  *status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  return info.si_pid != 0;
}

// The last resort of what EndLater() was left with.
void EndGroup(ChildProcess& child, coroutine::Clock::duration grace) {
  const pid_t group = child.pid();
  int status = 0;
  const auto wait = [&](coroutine::Clock::duration time) {
    return child.ReapWithin(time, &status);
  };
  const auto signal_group = [&](int number) { ::syscall(SYS_kill, -group, number); };
  bool ended = grace.count() > 0 && wait(grace);
  if (!ended) {
    signal_group(SIGTERM);
    ended = wait(kTermGrace);
    signal_group(SIGKILL);
  }
  while (!ended) ended = wait(std::chrono::seconds(1));
}

}  // namespace

void ChildProcess::Close(UniqueFd& fd) {
  if (fd) coroutine::ForgetFd(fd.get());
  fd.Reset();
}

int ChildProcess::Start(const std::string& path, const std::string& directory,
                        const ResourceLimits& limits, bool has_input, char** arguments,
                        char** environment) {
  UniqueFd child_input;
  UniqueFd child_output;
  UniqueFd child_errors;
  if (has_input)
    if (const int error = MakePipe(&child_input, &input_)) return error;
  if (const int error = MakePipe(&output_, &child_output)) return error;
  if (const int error = MakePipe(&errors_, &child_errors)) return error;
  if (has_input) MakeNonBlocking(input_);
  MakeNonBlocking(output_);
  MakeNonBlocking(errors_);

  SpawnPlan plan;
  plan.path = path.c_str();
  plan.directory = directory.c_str();
  plan.arguments = arguments;
  plan.environment = environment;
  plan.standard[0] = child_input.get();
  plan.standard[1] = child_output.get();
  plan.standard[2] = child_errors.get();
  plan.limits = limits;
  return SpawnProcess(plan, &pid_);
}

int ChildProcess::ended_fd() {
  if (!pidfd_ && pid_ > 0) pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  return pidfd_.get();
}

bool ChildProcess::Reap(int* status) {
  if (!TakeStatus(pid_, status)) return false;
  pid_ = -1;
  Close(pidfd_);
  return true;
}

bool ChildProcess::ReapWithin(coroutine::Clock::duration time, int* status) {
  const coroutine::Deadline until = coroutine::After(time);
  while (!Reap(status)) {
    if (coroutine::Clock::now() >= until) return false;
    auto reason = coroutine::WakeReason::kNoMemory;
    if (ended_fd() >= 0) reason = coroutine::WaitFd(pidfd_.get(), EPOLLIN, until);
    if (reason == coroutine::WakeReason::kNoMemory)
      reason = coroutine::SleepUntil(std::min(until, coroutine::After(kLookAgain)));
    if (reason == coroutine::WakeReason::kCancelled) return Reap(status);
  }
  return true;
}

void ChildProcess::EndLater(coroutine::Clock::duration grace) {
  Close(input_);
  Close(output_);
  Close(errors_);
  int status;
  if (pid_ < 0 || Reap(&status)) return;
  Close(pidfd_);
  const auto child = std::make_shared<ChildProcess>();
  const pid_t pid = child->pid_ = std::exchange(pid_, -1);
  try {
    coroutine::Go([child, grace] { EndGroup(*child, grace); }, {.name = "reaper"});
  } catch (const std::system_error&) {  // no coroutine to be had: at once, then
    ::syscall(SYS_kill, -pid, SIGKILL);
    ::syscall(SYS_wait4, pid, nullptr, 0, nullptr);
    child->pid_ = -1;
  }
}

}  // namespace cogi::server
