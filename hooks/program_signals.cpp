#include "hooks/program_signals.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "coroutine/scheduler.h"
#include "coroutine/wait.h"
#include "hooks/program.h"
#include "hooks/program_call.h"

namespace cogi::hooks {
namespace {

using std::chrono::microseconds;

microseconds ToMicroseconds(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + microseconds(time.tv_usec);
}

timeval ToTimeval(microseconds time) {
  return {static_cast<time_t>(time.count() / 1'000'000),
          static_cast<suseconds_t>(time.count() % 1'000'000)};
}

bool Ignored(int signal) {
  switch (signal) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
    case SIGSTOP:  // a program cannot be stopped without its worker
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return true;
    default:
      return false;
  }
}

// The first 64 signals as a set of bits, and back.
uint64_t ToBits(const sigset_t& set) {
  uint64_t bits;
  std::memcpy(&bits, &set, sizeof bits);
  return bits;
}
void FromBits(uint64_t bits, sigset_t* set) {
  sigemptyset(set);
  std::memcpy(set, &bits, sizeof bits);
}

}  // namespace

// The coroutine that sleeps until the alarm rings. It outlives the program's interest in it.
struct ProgramSignals::Alarm {
  ProgramSignals* owner;
  coroutine::Coroutine* sleeper = nullptr;
};

void ProgramSignals::End() noexcept {
  actions_.clear();
  handled_ = pending_ = blocked_ = awaited_ = 0;
  interval_ = microseconds(0);
  if (alarm_ == nullptr) return;
  alarm_->owner = nullptr;
  if (alarm_->sleeper != nullptr) coroutine::Cancel(*alarm_->sleeper);
  alarm_ = nullptr;
}

void ProgramSignals::Raise(int signal) noexcept {
  pending_ |= Bit(signal);
  Deliver();
}

bool ProgramSignals::Deliver() noexcept {
  bool handled = false;
  while (due()) {
    const int signal = std::countr_zero(pending_ & ~blocked_) + 1;
    pending_ &= ~Bit(signal);
    const struct sigaction* action = Find(signal);
    const bool is_default = action == nullptr || action->sa_handler == SIG_DFL;
    if (signal != SIGKILL && !is_default && action->sa_handler == SIG_IGN) continue;
    if (signal == SIGKILL || is_default) {
      if (Ignored(signal)) continue;
      program_.Terminate(signal == SIGABRT ? ProgramEnd::kAborted : ProgramEnd::kSignalled, signal);
    }
    Handle(signal);
    handled = true;
  }
  return handled;
}

void ProgramSignals::Handle(int signal) noexcept {
  const struct sigaction action = *Find(signal);  // a copy: it may install another
  const uint64_t before = blocked_;
  blocked_ |= ToBits(action.sa_mask);
  if ((action.sa_flags & SA_NODEFER) == 0) blocked_ |= Bit(signal);
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) handled_ &= ~Bit(signal);
  const int error = errno;
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    siginfo_t info{};
    info.si_signo = signal;
    CallOutermost(action.sa_sigaction, signal, &info, nullptr);
  } else {
    CallOutermost(action.sa_handler, signal);
  }
  errno = error;
  blocked_ = before;  // a handler that jumps out leaves it: siglongjmp() restores the mask itself
}

int ProgramSignals::Action(int signal, const struct sigaction* action,
                           struct sigaction* old) noexcept {
  if (signal < 1 || signal > 64 ||
      (action != nullptr && (signal == SIGKILL || signal == SIGSTOP))) {
    errno = EINVAL;
    return -1;
  }
  const struct sigaction* before = Find(signal);
  const struct sigaction previous = before != nullptr ? *before : (struct sigaction){};
  if (action != nullptr && !Install(signal, *action)) return -1;
  if (old != nullptr) *old = previous;
  return 0;
}

const struct sigaction* ProgramSignals::Find(int signal) const noexcept {
  if ((handled_ & Bit(signal)) == 0) return nullptr;
  for (const Installed& each : actions_)
    if (each.signal == signal) return &each.action;
  return nullptr;
}

bool ProgramSignals::Install(int signal, const struct sigaction& action) noexcept try {
  const ServerScope scope;
  const auto found = std::find_if(actions_.begin(), actions_.end(),
                                  [signal](const auto& each) { return each.signal == signal; });
  if (found != actions_.end())
    found->action = action;
  else
    actions_.push_back({signal, action});
  handled_ |= Bit(signal);
  return true;
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return false;
}

int ProgramSignals::Mask(int how, const sigset_t* set, sigset_t* old) noexcept {
  if (old != nullptr) FromBits(blocked_, old);
  if (set == nullptr) return 0;
  const uint64_t bits = ToBits(*set) & ~(Bit(SIGKILL) | Bit(SIGSTOP));
  switch (how) {
    case SIG_BLOCK:
      blocked_ |= bits;
      break;
    case SIG_UNBLOCK:
      blocked_ &= ~bits;
      break;
    case SIG_SETMASK:
      blocked_ = bits;
      break;
    default:
      errno = EINVAL;
      return -1;
  }
  Deliver();
  return 0;
}

void ProgramSignals::Pending(sigset_t* set) const noexcept { FromBits(pending_, set); }

int ProgramSignals::Wait(const sigset_t& set, coroutine::Deadline until) noexcept {
  const uint64_t wanted = ToBits(set);
  for (;;) {
    if (const uint64_t found = pending_ & wanted; found != 0) {
      const int signal = std::countr_zero(found) + 1;
      pending_ &= ~Bit(signal);
      return signal;
    }
    if (until != coroutine::kNoDeadline && until <= coroutine::Clock::now()) {
      errno = EAGAIN;
      return -1;
    }
    awaited_ = wanted;
    static_cast<void>(coroutine::Park(coroutine::WaitKind::kTimer, 0, until));
    awaited_ = 0;
    errno = ECANCELED;
    program_.AfterInterruption();
    if (errno == EINTR && (pending_ & wanted) == 0) return -1;
  }
}

void ProgramSignals::Suspend(const sigset_t* mask) noexcept {
  const uint64_t before = blocked_;
  if (mask != nullptr) blocked_ = ToBits(*mask);
  while (!Deliver()) {
    static_cast<void>(coroutine::Park(coroutine::WaitKind::kTimer, 0));
    program_.AfterInterruption();
  }
  blocked_ = before;
  Deliver();
  errno = EINTR;
}

bool ProgramSignals::SetTimer(const itimerval& value) noexcept {
  if (alarm_ != nullptr) {
    alarm_->owner = nullptr;
    if (alarm_->sleeper != nullptr) coroutine::Cancel(*alarm_->sleeper);
    alarm_ = nullptr;
  }
  interval_ = ToMicroseconds(value.it_interval);
  const microseconds first = ToMicroseconds(value.it_value);
  return first.count() == 0 || Arm(first);
}

bool ProgramSignals::Arm(microseconds first) noexcept try {
  ServerScope scope;
  alarm_at_ = coroutine::After(first);
  alarm_ = std::make_shared<Alarm>(Alarm{this});
  alarm_->sleeper = coroutine::Go(
      [alarm = alarm_, at = alarm_at_] {
        const coroutine::WakeReason reason = coroutine::SleepUntil(at);
        alarm->sleeper = nullptr;
        if (reason == coroutine::WakeReason::kTimeout && alarm->owner != nullptr)
          alarm->owner->Ring();
      },
      {.name = "alarm of a program"});
  return true;
} catch (const std::exception&) {
  alarm_ = nullptr;
  errno = EAGAIN;
  return false;
}

void ProgramSignals::Ring() noexcept {
  alarm_ = nullptr;
  if (interval_.count() != 0) Arm(interval_);
  pending_ |= Bit(SIGALRM);
  if (due() || (pending_ & awaited_) != 0) program_.Interrupt();
}

itimerval ProgramSignals::GetTimer() const noexcept {
  itimerval value{};
  value.it_interval = ToTimeval(interval_);
  if (alarm_ != nullptr) {
    const auto left = std::chrono::ceil<microseconds>(alarm_at_ - coroutine::Clock::now());
    value.it_value = ToTimeval(std::max(left, microseconds(1)));
  }
  return value;
}

}  // namespace cogi::hooks
