#include "tests/hooks/system_calls/trace.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "coroutine/system_calls.h"

namespace cogi::tests {
namespace {

namespace sys = coroutine::sys;

// prctl(2) with an option that does not exist: EINVAL, and nothing else.
constexpr long kBegin = 0x636f6769, kEnd = kBegin + 1;

template <class Argument>
long Ptrace(__ptrace_request request, pid_t pid, Argument argument, void* data = nullptr) {
  return ptrace(request, pid, argument, data);
}

// The traced child, from its first stop to its end.
class Tracee {
 public:
  Tracee(pid_t pid, const Injection& injection) : pid_(pid), injection_(injection) {}

  // Returns true if the child has ended by itself with status 0.
  bool Follow(std::vector<SystemCall>& calls) {
    int status = 0;
    waitpid(pid_, &status, 0);
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (!WIFSTOPPED(status) ||
        Ptrace(PTRACE_SETOPTIONS, pid_, 0L, reinterpret_cast<void*>(options)) != 0) {
      ADD_FAILURE() << "ptrace: " << strerror(errno);
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      return false;
    }
    for (long signal = 0;;) {
      Ptrace(PTRACE_SYSCALL, pid_, 0L, reinterpret_cast<void*>(signal));
      if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) break;
      const bool system_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
      signal = system_call ? 0 : WSTOPSIG(status);
      if (system_call) Stopped(calls);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  void Stopped(std::vector<SystemCall>& calls) {
    __ptrace_syscall_info info{};
    Ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      call_ = {static_cast<long>(info.entry.nr), static_cast<long>(info.entry.args[0]), 0};
      injected_ = noting_ && call_.number == injection_.number && IsMeant();
      if (injected_) Skip();
      return;
    }
    if (injected_) SetResult(-injection_.error);
    call_.result = injected_ ? -injection_.error : static_cast<long>(info.exit.rval);
    if (call_.number == SYS_prctl && (call_.first == kBegin || call_.first == kEnd))
      noting_ = call_.first == kBegin;
    else if (noting_)
      calls.push_back(call_);
  }

  bool IsMeant() {
    ++seen_;
    return seen_ >= injection_.nth && seen_ - injection_.nth < injection_.times;
  }

#if defined(__x86_64__)
  void Skip() {
    Ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, orig_rax),
           reinterpret_cast<void*>(-1));
  }
  void SetResult(long result) {
    Ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rax), reinterpret_cast<void*>(result));
  }
#else
  void Skip() { FAIL() << "no injection on this machine"; }
  void SetResult(long) {}
#endif

  pid_t pid_;
  Injection injection_;
  SystemCall call_{};
  bool noting_ = false, injected_ = false;
  int seen_ = 0;
};

[[noreturn]] void Work(const std::function<std::string()>& work, int answer) {
  Ptrace(PTRACE_TRACEME, 0, 0L);
  raise(SIGSTOP);
  const std::string text = work();
  for (size_t done = 0; done < text.size();) {
    const long put = sys::Write(answer, text.data() + done, text.size() - done);
    if (put <= 0) _exit(1);
    done += static_cast<size_t>(put);
  }
  _exit(0);
}

std::string ReadAll(int fd) {
  std::string text;
  char piece[4096];
  for (ssize_t got; (got = read(fd, piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<size_t>(got));
  return text;
}

}  // namespace

void BeginTrace() noexcept { sys::Call(SYS_prctl, kBegin); }
void EndTrace() noexcept { sys::Call(SYS_prctl, kEnd); }

int Traced::Count(long number) const {
  return static_cast<int>(std::count_if(
      calls.begin(), calls.end(), [&](const SystemCall& call) { return call.number == number; }));
}

std::string Traced::Names() const {
  std::string names;
  for (const SystemCall& call : calls) {
    names += std::to_string(call.number) + '(' + std::to_string(call.first) +
             ") = " + std::to_string(call.result) + '\n';
  }
  return names;
}

bool CanInject() {
#if defined(__x86_64__)
  return true;
#else
  return false;
#endif
}

Traced Trace(const std::function<std::string()>& work, const Injection& injection) {
  Traced traced;
  int answer[2];  // the text is shorter than a pipe's room: it is read when the child has ended
  if (pipe(answer) != 0) return traced;
  const pid_t pid = fork();
  if (pid == 0) Work(work, answer[1]);
  close(answer[1]);
  if (pid > 0) traced.ended = Tracee(pid, injection).Follow(traced.calls);
  traced.text = ReadAll(answer[0]);
  close(answer[0]);
  return traced;
}

}  // namespace cogi::tests
