// How a hooked call waits: try the call first; on EAGAIN park until the event loop reports the
// descriptor, then try again. For the hooks' own files. Everything here is inlined into the hook,
// so that a parked coroutine has one shallow frame above the program's: on shared stacks those
// bytes are copied.
#ifndef COGI_HOOKS_BLOCKING_H_
#define COGI_HOOKS_BLOCKING_H_

#include <poll.h>

#include <cerrno>
#include <climits>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/calls.h"
#include "hooks/fd_table.h"
#include "hooks/program_state.h"
#include "hooks/real.h"

namespace cogi::hooks {

// The kernel moves at most this many bytes in one call.
inline constexpr size_t kMaxTransfer = 0x7ffff000;

// ErrnoOf() is what the program gets to see for a park that did not end with kReady. `timeout`:
// what a timeout means.
[[nodiscard]] inline int ErrnoOf(coroutine::WakeReason reason, int timeout = EAGAIN) {
  switch (reason) {
    case coroutine::WakeReason::kTimeout:
      return timeout;
    case coroutine::WakeReason::kCancelled:
      return ECANCELED;
    case coroutine::WakeReason::kNoMemory:
      return ENOMEM;
    default:
      return EBADF;
  }
}

// Plain() is true where a call on `fd` is libc's as it is: outside coroutines, unless the
// descriptor has an O_NONBLOCK that the program does not know of. It is asked before the call, so
// that the hook can end in a jump to libc: after a system call each further return costs more than
// the question (processors whose kernel clears the return predictor).
[[nodiscard]] inline bool Plain(int fd) noexcept { return !Hooked() && !FdTable::Hides(fd); }

// BlockThread() waits by poll(2) outside coroutines. False with errno EAGAIN on timeout, or EINTR.
[[nodiscard]] bool BlockThread(int fd, uint32_t event, int64_t timeout_us);

// WouldBlock() is asked outside coroutines after a call on `fd` has failed: true if it failed only
// because of an O_NONBLOCK that the program does not know of.
[[nodiscard]] bool WouldBlock(int fd) noexcept;
// CutShort() is that question for a write which moved fewer bytes than it was to.
[[nodiscard]] bool CutShort(int fd) noexcept;

// Measured<> runs one park and, when the trace is on, adds its time to the current call's. Yields.
template <class Park>
[[gnu::always_inline]] inline auto Measured(Park park) {
  if (!g_switches.trace) [[likely]]
    return park();
  const int64_t before = ParkedSoFar();
  const coroutine::Deadline start = coroutine::Clock::now();
  const auto result = park();
  const int error = errno;
  SetParked(before + std::chrono::nanoseconds(coroutine::Clock::now() - start).count());
  errno = error;
  return result;
}

// FdWait is one blocking call's wait for one direction of a descriptor: remembers the generation
// at its start and the deadline since the first park. Where calls are not hooked it waits by
// poll(2), which blocks the thread: a descriptor with a hidden O_NONBLOCK is a blocking one there,
// too.
class FdWait {
 public:
  FdWait(int fd, uint32_t event, int64_t timeout_us)
      : fd_(fd),
        event_(event),
        generation_(FdTable::Generation(fd)),
        parks_(Hooked()),
        timeout_us_(timeout_us) {}

  // KnownDrained(): the system call would say EAGAIN. A write is always tried: it nearly always
  // finds room.
  [[nodiscard]] bool KnownDrained() const {
    return event_ != EPOLLOUT && parks_ && coroutine::KnownDrained(fd_, event_);
  }

  // Drained() records that the kernel said EAGAIN.
  void Drained() const {
    if (parks_) coroutine::MarkDrained(fd_, event_);
  }

  // Park() waits. False with errno on timeout (EAGAIN), cancel (ECANCELED), without memory
  // (ENOMEM), or if the descriptor was closed (EBADF). `step_us` bounds this one park: where the
  // kernel reports no event for what is waited for; its end is no timeout.
  [[nodiscard]] bool Park(int64_t step_us = 0) {
    if (!parks_) return BlockThread(fd_, event_, timeout_us_);
    if (deadline_ == coroutine::Deadline::min()) deadline_ = DeadlineAfter(timeout_us_);
    coroutine::Deadline until = deadline_;
    if (step_us != 0) until = std::min(until, DeadlineAfter(step_us));
    const coroutine::WakeReason reason =
        Measured([&] { return coroutine::WaitFd(fd_, event_, until); });
    parked_ = true;
    if (reason == coroutine::WakeReason::kReady ||
        (reason == coroutine::WakeReason::kTimeout && until < deadline_)) {
      // Closed after the wake, before this coroutine's turn: the number may be another's by now.
      if (FdTable::Generation(fd_) == generation_) return true;
      errno = EBADF;
      return false;
    }
    errno = ErrnoOf(reason);
    return false;
  }

  [[nodiscard]] bool parked() const { return parked_; }

  // Charge() ends a call that has succeeded: one that did not have to wait counts. May yield; after
  // that the number may mean another descriptor.
  void Charge() const {
    if (parks_ && !parked_) coroutine::ChargeCall();
  }

 private:
  int fd_;
  uint32_t event_;
  uint32_t generation_;
  bool parks_;
  bool parked_ = false;
  int64_t timeout_us_;
  coroutine::Deadline deadline_ = coroutine::Deadline::min();
};

// UntilReady() makes `attempt` until it does not answer EAGAIN or EINTR. `step_us` as for
// FdWait::Park(). The caller ends the call by FdWait::Charge(), when it has recorded what the
// result tells of the descriptor. May yield.
template <class Attempt>
[[gnu::always_inline]] inline auto UntilReady(FdWait& wait, Attempt attempt, int64_t step_us = 0)
    -> decltype(attempt()) {
  bool skip = wait.KnownDrained();
  for (;;) {
    if (!skip) {
      const auto result = attempt();
      if (result >= 0) return result;
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return result;
      wait.Drained();
    }
    skip = false;
    if (!wait.Park(step_us)) return -1;
  }
}

// Outside() ends a call made outside coroutines: `result` as it is, unless the call would have
// blocked but for a hidden O_NONBLOCK; then `again` is made, which waits.
template <class Result, class Again>
[[gnu::always_inline]] inline Result Outside(int fd, Result result, Again again) {
  if (result >= 0 || !WouldBlock(fd)) [[likely]]
    return result;
  return again();
}

// ReadyNow() asks the kernel without waiting; false with errno EAGAIN.
[[nodiscard]] inline bool ReadyNow(int fd, short events) {
  pollfd one{fd, events, 0};
  if (real::poll(&one, 1, 0) != 0) return true;
  errno = EAGAIN;
  return false;
}

// Direct() makes a call that cannot wait. May yield: it counts against the coroutine's budget.
template <class Attempt>
[[gnu::always_inline]] inline auto Direct(Attempt attempt) -> decltype(attempt()) {
  const auto result = attempt();
  coroutine::ChargeCall();
  return result;
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_BLOCKING_H_
