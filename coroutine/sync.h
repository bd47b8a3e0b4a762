// Mutex, ConditionVariable, Semaphore and WaitGroup between the coroutines of one thread. First
// come, first served: what is released goes straight to the longest waiter. For other threads use
// Scheduler::Post().
//
// A wait in the middle of which the coroutine is destroyed is undone: nobody waits for a lock that
// was handed to the dead, or for a notification that they were given.
#ifndef COGI_COROUTINE_SYNC_H_
#define COGI_COROUTINE_SYNC_H_

#include <cstddef>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "coroutine/export.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

// Mutex works with std::lock_guard and std::unique_lock. Not recursive.
class COGI_API Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // lock() waits as long as it takes; Cancel() does not end it. CHECK: not held by the caller, and
  // (on a thread's own stack, which cannot wait) free. May yield.
  void lock();
  [[nodiscard]] bool try_lock() noexcept;
  // LockUntil() returns kReady with the lock; kTimeout or kCancelled without. May yield.
  [[nodiscard]] WakeReason LockUntil(Deadline deadline);
  // unlock() never yields. CHECK: the caller holds it.
  void unlock();

 private:
  Coroutine* owner_ = nullptr;
  WaitList waiters_;
};

class COGI_API ConditionVariable {
 public:
  // Wait() gives `mutex` back, waits for a notification, and takes `mutex` again whatever the
  // reason that it returns. No wake-up is spurious. A coroutine that is destroyed meanwhile leaves
  // with `mutex` only if it is free; its unlock() does nothing otherwise. Yields.
  WakeReason Wait(Mutex& mutex, Deadline deadline = kNoDeadline);
  void NotifyOne();
  void NotifyAll() { waiters_.WakeAll(); }

 private:
  WaitList waiters_;
};

class COGI_API Semaphore {
 public:
  explicit Semaphore(size_t count) : count_(count) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Acquire() returns kReady with one unit; kTimeout or kCancelled without. May yield.
  [[nodiscard]] WakeReason Acquire(Deadline deadline = kNoDeadline);
  [[nodiscard]] bool TryAcquire() noexcept;
  void Release(size_t units = 1);
  [[nodiscard]] size_t available() const { return count_; }

 private:
  size_t count_;
  WaitList waiters_;
};

// WaitGroup counts what has begun and not ended.
class COGI_API WaitGroup {
 public:
  void Add(size_t count = 1) { count_ += count; }
  // Done(). CHECK: not more often than Add() said.
  void Done();
  // Wait() returns kReady once the count is 0. May yield.
  WakeReason Wait(Deadline deadline = kNoDeadline);
  [[nodiscard]] size_t count() const { return count_; }

 private:
  size_t count_ = 0;
  WaitList waiters_;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SYNC_H_
