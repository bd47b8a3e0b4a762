// The loop that all locks share. See lock_parking.h.
#ifndef COGI_HOOKS_LOCK_PARKING_INL_H_
#define COGI_HOOKS_LOCK_PARKING_INL_H_

#include <algorithm>
#include <cerrno>
#include <optional>

namespace cogi::hooks {

// AcquireSlowly() until a program is interrupted: EINTR.
template <class Attempt, class HeldHere>
int AcquireUntilInterrupted(const void* address, Attempt attempt, HeldHere held_here,
                            AbsoluteTime timeout) {
  PassOn pass_on(address);
  std::optional<Interest> interest;
  // The back-off catches the releases that no hook sees: those inside libc, as of pthread_cond_wait
  // in other threads.
  Backoff backoff{std::chrono::milliseconds(32)};
  for (;;) {
    const int result = attempt();
    if (result != EBUSY) {
      pass_on.Acquired();
      return result;
    }
    if (timeout.time != nullptr && timeout.Passed()) return ETIMEDOUT;
    if (!interest && !held_here()) {
      interest.emplace(address);
      continue;
    }
    coroutine::Deadline until =
        timeout.time == nullptr ? coroutine::kNoDeadline : timeout.ToDeadline();
    if (interest) until = std::min(until, backoff.Next());
    if (ParkAtUnlessInterrupted(address, until) == coroutine::WakeReason::kCancelled) return EINTR;
  }
}

template <class Attempt, class HeldHere>
int AcquireSlowly(const void* address, Attempt attempt, HeldHere held_here, AbsoluteTime timeout) {
  if (timeout.time != nullptr && !timeout.Valid()) return EINVAL;
  for (;;) {
    const int result = AcquireUntilInterrupted(address, attempt, held_here, timeout);
    if (result != EINTR) return result;
    AfterInterruption();  // nothing is held here: it may not return
  }
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_LOCK_PARKING_INL_H_
