// Time in cogi: the monotonic clock, and absolute deadlines on it. A wall clock that is set back or
// forth changes nothing. Thread-safe. Never yields.
#ifndef COGI_COROUTINE_DEADLINE_H_
#define COGI_COROUTINE_DEADLINE_H_

#include <time.h>

#include <chrono>

namespace cogi::coroutine {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using Deadline = Clock::time_point;

// kNoDeadline waits for ever.
inline constexpr Deadline kNoDeadline = Deadline::max();

// After() is the deadline `wait` from now. A negative wait has already passed; one that the clock
// cannot express is kNoDeadline.
template <class Rep, class Period>
[[nodiscard]] Deadline After(std::chrono::duration<Rep, Period> wait) {
  const Deadline now = Clock::now();
  if (wait >= std::chrono::duration_cast<std::chrono::duration<Rep, Period>>(kNoDeadline - now))
    return kNoDeadline;
  return now + std::chrono::duration_cast<Clock::duration>(wait);
}

// CoarseNow() is the time at the kernel's last tick, up to 10 ms ago, for a quarter of what
// Clock::now() costs: for waits of seconds that begin with every request.
[[nodiscard]] inline Deadline CoarseNow() {
#ifdef CLOCK_MONOTONIC_COARSE
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return Deadline(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
#else
  return Clock::now();
#endif
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_DEADLINE_H_
