// signal(2) and its kin: a program's own signals. Without a program they are libc's.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "hooks/program.h"
#include "hooks/program_signals.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

using real::RealCall;
constinit RealCall<sighandler_t(int, sighandler_t)> real_signal{"signal"};
constinit RealCall<sighandler_t(int, sighandler_t)> real_sysv_signal{"__sysv_signal"};
constinit RealCall<int(int, const struct sigaction*, struct sigaction*)> real_sigaction{
    "sigaction"};
constinit RealCall<int(int)> real_raise{"raise"};
constinit RealCall<int(pid_t, int)> real_kill{"kill"};
constinit RealCall<int(pid_t, int)> real_killpg{"killpg"};
constinit RealCall<int(int, const sigset_t*, sigset_t*)> real_sigprocmask{"sigprocmask"};
constinit RealCall<int(int, const sigset_t*, sigset_t*)> real_pthread_sigmask{"pthread_sigmask"};
constinit RealCall<int(sigset_t*)> real_sigpending{"sigpending"};
constinit RealCall<int(const sigset_t*)> real_sigsuspend{"sigsuspend"};
constinit RealCall<int(const sigset_t*, int*)> real_sigwait{"sigwait"};
constinit RealCall<int(const sigset_t*, siginfo_t*)> real_sigwaitinfo{"sigwaitinfo"};
constinit RealCall<int(const sigset_t*, siginfo_t*, const timespec*)> real_sigtimedwait{
    "sigtimedwait"};
constinit RealCall<int()> real_pause{"pause"};
constinit RealCall<unsigned(unsigned)> real_alarm{"alarm"};
constinit RealCall<int(__itimer_which_t, const itimerval*, itimerval*)> real_setitimer{"setitimer"};
constinit RealCall<int(__itimer_which_t, itimerval*)> real_getitimer{"getitimer"};

sighandler_t SetHandler(Program& program, int signal, sighandler_t handler, int flags) {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  return program.signals().Action(signal, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

int Raise(Program& program, int signal) {
  if (signal < 0 || signal > 64) {
    errno = EINVAL;
    return -1;
  }
  if (signal != 0) program.signals().Raise(signal);
  return 0;
}

int AwaitSignal(Program& program, const sigset_t& set, siginfo_t* info, coroutine::Deadline until) {
  const int signal = program.signals().Wait(set, until);
  if (signal > 0 && info != nullptr) {
    *info = {};
    info->si_signo = signal;
    info->si_pid = getpid();
    info->si_uid = getuid();
  }
  return signal;
}

// A program may signal itself (it is its own process group) and its own children; the worker, the
// master and everybody else are not its to signal.
int Kill(Program& program, pid_t target, int signal) {
  if (target == 0 || target == getpid() || target == -getpgrp() || target == -getpid())
    return Raise(program, signal);
  if (target == -1 || target == getppid()) {
    errno = EPERM;
    return -1;
  }
  return real_kill(target, signal);
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (Program* program = Program::Current())
    return SetHandler(*program, number, handler, SA_RESTART);
  return real_signal(number, handler);
}

COGI_API sighandler_t bsd_signal(int number, sighandler_t handler) noexcept {
  return signal(number, handler);
}

COGI_API sighandler_t __sysv_signal(int number, sighandler_t handler) noexcept {
  if (Program* program = Program::Current())
    return SetHandler(*program, number, handler, static_cast<int>(SA_RESETHAND) | SA_NODEFER);
  return real_sysv_signal(number, handler);
}

COGI_API int sigaction(int number, const struct sigaction* action, struct sigaction* old) noexcept {
  if (Program* program = Program::Current()) return program->signals().Action(number, action, old);
  return real_sigaction(number, action, old);
}

COGI_API int raise(int number) noexcept {
  if (Program* program = Program::Current()) return Raise(*program, number);
  return real_raise(number);
}

COGI_API int kill(pid_t target, int number) noexcept {
  if (Program* program = Program::Current()) return Kill(*program, target, number);
  return real_kill(target, number);
}

COGI_API int killpg(pid_t group, int number) noexcept {
  if (Program* program = Program::Current()) return Kill(*program, -group, number);
  return real_killpg(group, number);
}

COGI_API int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  if (Program* program = Program::Current()) return program->signals().Mask(how, set, old);
  return real_sigprocmask(how, set, old);
}

COGI_API int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_pthread_sigmask(how, set, old);
  return program->signals().Mask(how, set, old) == 0 ? 0 : errno;
}

COGI_API int sigpending(sigset_t* set) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_sigpending(set);
  program->signals().Pending(set);
  return 0;
}

COGI_API int sigsuspend(const sigset_t* mask) {
  Program* program = Program::Current();
  if (program == nullptr) return real_sigsuspend(mask);
  program->signals().Suspend(mask);
  return -1;
}

COGI_API int sigwait(const sigset_t* set, int* number) {
  Program* program = Program::Current();
  if (program == nullptr) return real_sigwait(set, number);
  const int saved = errno;
  do {
    *number = program->signals().Wait(*set, cogi::coroutine::kNoDeadline);
  } while (*number < 0);
  errno = saved;
  return 0;
}

COGI_API int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  Program* program = Program::Current();
  if (program == nullptr) return real_sigwaitinfo(set, info);
  return AwaitSignal(*program, *set, info, cogi::coroutine::kNoDeadline);
}

COGI_API int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* time) {
  Program* program = Program::Current();
  if (program == nullptr) return real_sigtimedwait(set, info, time);
  if (time == nullptr) return AwaitSignal(*program, *set, info, cogi::coroutine::kNoDeadline);
  if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1'000'000'000) {
    errno = EINVAL;
    return -1;
  }
  return AwaitSignal(*program, *set, info,
                     cogi::coroutine::After(std::chrono::seconds(time->tv_sec) +
                                            std::chrono::nanoseconds(time->tv_nsec)));
}

COGI_API int pause() {
  Program* program = Program::Current();
  if (program == nullptr) return real_pause();
  program->signals().Suspend(nullptr);
  return -1;
}

COGI_API int getitimer(__itimer_which_t which, itimerval* value) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_getitimer(which, value);
  *value = which == ITIMER_REAL ? program->signals().GetTimer() : itimerval{};
  return 0;
}

COGI_API int setitimer(__itimer_which_t which, const itimerval* value, itimerval* old) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_setitimer(which, value, old);
  if (which != ITIMER_REAL) {  // CPU time is the worker's
    errno = EINVAL;
    return -1;
  }
  if (old != nullptr) *old = program->signals().GetTimer();
  return value == nullptr || program->signals().SetTimer(*value) ? 0 : -1;
}

COGI_API unsigned alarm(unsigned seconds) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_alarm(seconds);
  const itimerval old = program->signals().GetTimer();
  program->signals().SetTimer({{0, 0}, {static_cast<time_t>(seconds), 0}});
  return static_cast<unsigned>(old.it_value.tv_sec + (old.it_value.tv_usec != 0 ? 1 : 0));
}

COGI_API useconds_t ualarm(useconds_t first, useconds_t interval) noexcept {
  const auto time = [](useconds_t us) {
    return timeval{static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
  };
  const itimerval value{time(interval), time(first)};
  itimerval old{};
  setitimer(ITIMER_REAL, &value, &old);
  return static_cast<useconds_t>(old.it_value.tv_sec * 1'000'000 + old.it_value.tv_usec);
}

}  // extern "C"
