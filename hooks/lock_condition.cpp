// pthread_cond_*. A coroutine that waits parks at the condition's address and never enters the real
// condition, which serves threads alone. A signal wakes a coroutine of its own thread if one waits;
// else one of another thread's and, because nobody here can know whether a thread waits too, a
// thread: POSIX allows it to wake more than one.
#include <pthread.h>

#include <algorithm>
#include <cerrno>

#include "hooks/lock.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// libc's flags of a condition, in the low bits of __wrefs: shared between processes, and its clock.
constexpr unsigned kSharedFlag = 1;
constexpr unsigned kMonotonicFlag = 2;

unsigned FlagsOf(const pthread_cond_t* condition) noexcept {
  return __atomic_load_n(&condition->__data.__wrefs, __ATOMIC_RELAXED);
}

int WaitOnCondition(pthread_cond_t* condition, pthread_mutex_t* mutex, AbsoluteTime timeout,
                    Call call) {
  if (timeout.time != nullptr && !timeout.Valid()) return EINVAL;
  CallRecord record(call, reinterpret_cast<int64_t>(condition));
  bool timed_out = false;
  {
    Interest interest(condition);  // before the mutex is released: no signal after that is missed
    const int result = UnlockMutex(mutex);
    if (result != 0) return record.Done(result);
    coroutine::Deadline until =
        timeout.time == nullptr ? coroutine::kNoDeadline : timeout.ToDeadline();
    // A signal from another process passes no hook: wake up spuriously, as POSIX allows.
    if ((FlagsOf(condition) & kSharedFlag) != 0)
      until = std::min(until, coroutine::After(std::chrono::milliseconds(10)));
    // In a program an interruption ends it spuriously; the record's end sees to the interruption.
    const coroutine::WakeReason reason = ParkAtUnlessInterrupted(condition, until);
    timed_out =
        reason == coroutine::WakeReason::kTimeout && timeout.time != nullptr && timeout.Passed();
  }
  const int result = LockMutex(mutex);
  return record.Done(result == 0 && timed_out ? ETIMEDOUT : result);
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiCondWait(pthread_cond_t* condition,
                          pthread_mutex_t* mutex) __asm__("pthread_cond_wait");
COGI_API int CogiCondTimedWait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                               const timespec* time) __asm__("pthread_cond_timedwait");
COGI_API int CogiCondClockWait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                               const timespec* time) __asm__("pthread_cond_clockwait");
COGI_API int CogiCondSignal(pthread_cond_t* condition) __asm__("pthread_cond_signal");
COGI_API int CogiCondBroadcast(pthread_cond_t* condition) __asm__("pthread_cond_broadcast");

int CogiCondWait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_cond_wait(condition, mutex);
  return WaitOnCondition(condition, mutex, {CLOCK_MONOTONIC, nullptr}, Call::pthread_cond_wait);
}

int CogiCondTimedWait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_cond_timedwait(condition, mutex, time);
  const clockid_t clock =
      (FlagsOf(condition) & kMonotonicFlag) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
  return WaitOnCondition(condition, mutex, {clock, time}, Call::pthread_cond_timedwait);
}

int CogiCondClockWait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                      const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_cond_clockwait(condition, mutex, clock, time);
  return WaitOnCondition(condition, mutex, {clock, time}, Call::pthread_cond_clockwait);
}

int CogiCondSignal(pthread_cond_t* condition) {
  using namespace cogi::hooks;
  if (t_lot != nullptr && AnyoneParkedHere() && WakeHere(condition, 1) != 0) return 0;
  const int result = real::pthread_cond_signal(condition);
  if (g_interests.load(std::memory_order_relaxed) != 0 && t_inside_parking == 0)
    WakeElsewhere(condition, 1);
  return result;
}

int CogiCondBroadcast(pthread_cond_t* condition) {
  using namespace cogi::hooks;
  const int result = real::pthread_cond_broadcast(condition);
  WakeAt(condition, kEveryone);
  return result;
}
}
