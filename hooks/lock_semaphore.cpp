// sem_*. A semaphore may be posted from a signal handler, which may interrupt anything: so waiters
// do not park in a list, but wait for their thread's eventfd, which sem_post() writes wherever
// somebody waits for its semaphore.
#include <semaphore.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// Whether other processes may post: libc keeps that after the 64 bits of its value.
bool SharedBetweenProcesses(const sem_t* semaphore) noexcept {
  int shared = 0;
  memcpy(&shared, reinterpret_cast<const char*>(semaphore) + sizeof(uint64_t), sizeof shared);
  return shared != 0;
}

void Drain(int event_fd) noexcept {
  uint64_t count = 0;
  while (real::read(event_fd, &count, sizeof count) > 0) {
  }
  coroutine::MarkDrained(event_fd, EPOLLIN);
}

int WaitSlowly(sem_t* semaphore, AbsoluteTime timeout) {
  Interest interest(semaphore);
  int event_fd = Interest::EventFd();
  // Posts of other processes, and everything if there is no eventfd to be had, are found by looking
  // again.
  const bool shared = SharedBetweenProcesses(semaphore);
  Backoff backoff{std::chrono::milliseconds(32)};
  for (;;) {
    if (event_fd != -1) Drain(event_fd);  // before the look: a post after it makes a new edge
    if (sem_trywait(semaphore) == 0) return 0;
    if (errno != EAGAIN) return -1;
    if (timeout.time != nullptr && timeout.Passed()) {
      errno = ETIMEDOUT;
      return -1;
    }
    coroutine::Deadline until =
        timeout.time == nullptr ? coroutine::kNoDeadline : timeout.ToDeadline();
    if (event_fd == -1 || shared) until = std::min(until, backoff.Next());
    const coroutine::WakeReason reason =
        event_fd == -1 ? coroutine::SleepUntil(until) : coroutine::WaitFd(event_fd, EPOLLIN, until);
    if (reason == coroutine::WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
    // It cannot be watched: looked at from now on.
    if (reason == coroutine::WakeReason::kNoMemory) event_fd = -1;
  }
}

int Wait(sem_t* semaphore, AbsoluteTime timeout, Call call) {
  if (timeout.time != nullptr && !timeout.Valid()) {
    errno = EINVAL;
    return -1;
  }
  const int saved_errno = errno;
  if (sem_trywait(semaphore) == 0) return 0;
  if (errno != EAGAIN) return -1;
  CallRecord record(call, reinterpret_cast<int64_t>(semaphore));
  const int result = WaitSlowly(semaphore, timeout);
  if (result == 0) errno = saved_errno;
  return record.Done(result);
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiSemWait(sem_t* semaphore) __asm__("sem_wait");
COGI_API int CogiSemTimedWait(sem_t* semaphore, const timespec* time) __asm__("sem_timedwait");
COGI_API int CogiSemClockWait(sem_t* semaphore, clockid_t clock,
                              const timespec* time) __asm__("sem_clockwait");
COGI_API int CogiSemPost(sem_t* semaphore) __asm__("sem_post");

int CogiSemWait(sem_t* semaphore) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::sem_wait(semaphore);
  return Wait(semaphore, {CLOCK_MONOTONIC, nullptr}, Call::sem_wait);
}

int CogiSemTimedWait(sem_t* semaphore, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::sem_timedwait(semaphore, time);
  return Wait(semaphore, {CLOCK_REALTIME, time}, Call::sem_timedwait);
}

int CogiSemClockWait(sem_t* semaphore, clockid_t clock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::sem_clockwait(semaphore, clock, time);
  return Wait(semaphore, {clock, time}, Call::sem_clockwait);
}

int CogiSemPost(sem_t* semaphore) {
  using namespace cogi::hooks;
  const int result = real::sem_post(semaphore);
#if !defined(__x86_64__)
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  if (g_interests.load(std::memory_order_relaxed) != 0) [[unlikely]]
    WakeAtSignalSafe(semaphore);
  return result;
}
}
