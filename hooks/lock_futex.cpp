// Raw futexes: what std::atomic::wait, std::latch, std::counting_semaphore and std::future wait
// with goes through syscall(). FUTEX_WAIT and FUTEX_WAIT_BITSET park; FUTEX_WAKE and
// FUTEX_WAKE_BITSET wake coroutines, then threads. Bitsets are not compared: who is woken for
// another's bit finds a spurious wake-up, which futexes allow. The other futex operations, and all
// other system calls, go to the kernel.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

constexpr long kFlags = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;

timespec After(const timespec& wait) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (__builtin_add_overflow(now.tv_sec, wait.tv_sec, &now.tv_sec)) return {INT64_MAX, 0};
  now.tv_nsec += wait.tv_nsec;
  if (now.tv_nsec >= 1'000'000'000) {
    now.tv_nsec -= 1'000'000'000;
    ++now.tv_sec;
  }
  return now;
}

long WaitOnFutex(long word, long operation, long value, const timespec* timeout, long bitset) {
  const bool absolute = (operation & ~kFlags) == FUTEX_WAIT_BITSET;
  CallRecord record(Call::syscall, word);
  Interest interest(reinterpret_cast<const void*>(word));
  // The kernel checks word, value, flags and time in one call that does not wait: its time is over
  // already.
  const timespec over{
      0, timeout != nullptr && (timeout->tv_nsec < 0 || timeout->tv_nsec > 999'999'999) ? -1 : 0};
  const timespec* probe_time = timeout != nullptr && timeout->tv_sec < 0 ? timeout : &over;
  const int saved_errno = errno;
  const long probe = real::syscall(SYS_futex, word, operation, value,
                                   reinterpret_cast<long>(probe_time), 0, bitset);
  if (probe == 0 || errno != ETIMEDOUT) return record.Done(probe);
  const timespec end = timeout == nullptr ? timespec{} : absolute ? *timeout : After(*timeout);
  const AbsoluteTime until{
      (operation & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC,
      timeout == nullptr ? nullptr : &end};
  coroutine::Deadline deadline =
      until.time == nullptr ? coroutine::kNoDeadline : until.ToDeadline();
  // Wakers in other processes pass no hook: wake up spuriously.
  const bool shared = (operation & FUTEX_PRIVATE_FLAG) == 0;
  if (shared) deadline = std::min(deadline, coroutine::After(std::chrono::milliseconds(10)));
  const coroutine::WakeReason reason =
      ParkAtUnlessCancelled(reinterpret_cast<const void*>(word), deadline);
  if (reason == coroutine::WakeReason::kCancelled) {
    errno = ECANCELED;
    return record.Done(-1L);
  }
  if (reason == coroutine::WakeReason::kTimeout && until.time != nullptr && until.Passed()) {
    errno = ETIMEDOUT;
    return record.Done(-1L);
  }
  errno = saved_errno;
  return record.Done(0L);
}

// Wakes coroutines first; the kernel has the rest.
long WakeFutex(long word, long operation, long count, long time, long second, long bitset) {
  const auto* address = reinterpret_cast<const void*>(word);
  const int wanted = static_cast<int>(count);
  int woken = WakeHere(address, wanted);
  if (woken < wanted && t_inside_parking == 0) woken += WakeElsewhere(address, wanted - woken);
  if (woken >= wanted) return woken;
  const long threads =
      real::syscall(SYS_futex, word, operation, wanted - woken, time, second, bitset);
  return threads < 0 ? threads : threads + woken;
}

bool IsWait(long operation) {
  return (operation & ~kFlags) == FUTEX_WAIT || (operation & ~kFlags) == FUTEX_WAIT_BITSET;
}

bool IsWake(long operation) {
  return (operation & ~kFlags) == FUTEX_WAKE || (operation & ~kFlags) == FUTEX_WAKE_BITSET;
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API long CogiSyscall(long number, long a, long b, long c, long d, long e,
                          long f) __asm__("syscall");

// Takes all arguments that any system call has, as libc's does; those that the caller did not give
// are not looked at.
long CogiSyscall(long number, long a, long b, long c, long d, long e, long f) {
  using namespace cogi::hooks;
  if (number == SYS_futex) {
    if (IsWait(b) && LockHooked())
      return WaitOnFutex(a, b, static_cast<int>(c), reinterpret_cast<const timespec*>(d), f);
    if (IsWake(b) && (g_interests.load(std::memory_order_relaxed) != 0 || t_lot != nullptr))
      return WakeFutex(a, b, c, d, e, f);
  }
  return real::syscall(number, a, b, c, d, e, f);
}
}
