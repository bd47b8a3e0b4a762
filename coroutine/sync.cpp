#include "coroutine/sync.h"

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {
namespace {

Coroutine& Waiter(const char* outside) {
  Coroutine* self = Running();
  COGI_CHECK(self != nullptr, outside);
  return *self;
}

// Handed marks a node whose waiter was given what it waits for: a unit, or a notification.
constexpr uint32_t kHanded = 1;

}  // namespace

bool Mutex::try_lock() noexcept {
  if (owner_ != nullptr) return false;
  owner_ = thread_context.current;
  return true;
}

void Mutex::lock() {
  if (try_lock()) return;
  const ShieldScope shield;
  while (LockUntil(kNoDeadline) != WakeReason::kReady) {
    // Only one that is being unwound comes here: it cannot wait, and must not go on without the
    // lock.
    ForceUnwind();
  }
}

WakeReason Mutex::LockUntil(Deadline deadline) {
  if (try_lock()) return WakeReason::kReady;
  Coroutine& self =
      Waiter("a Mutex that is held was locked on a thread's own stack, which cannot wait");
  COGI_CHECK(owner_ != &self, "a Mutex was locked twice by one coroutine");
  OnUnwind undo([&] {
    if (owner_ == &self) unlock();
  });
  WakeReason reason;
  do {
    reason = ParkIn(waiters_, WaitKind::kLock, reinterpret_cast<uintptr_t>(this), deadline);
  } while (reason == WakeReason::kResumed && owner_ != &self);
  undo.Disarm();
  return owner_ == &self ? WakeReason::kReady : reason;
}

void Mutex::unlock() {
  const Coroutine* self = thread_context.current;
  // One that was destroyed while it waited for a condition leaves the block of its lock without it.
  if (owner_ != self && self->Is(kKilled)) return;
  COGI_CHECK(owner_ == self, "a Mutex was unlocked by one that does not hold it");
  WaitNode* next = waiters_.front();
  while (next != nullptr && next->coroutine->state() != State::kParked) next = next->next;
  owner_ = next == nullptr ? nullptr : next->coroutine;
  if (next != nullptr) waiters_.Wake(*next);
}

WakeReason ConditionVariable::Wait(Mutex& mutex, Deadline deadline) {
  Coroutine& self = Waiter("ConditionVariable::Wait() outside a coroutine");
  self.node.got = 0;
  OnUnwind notify_next([&] {
    if (self.node.got == kHanded) NotifyOne();
    (void)mutex.try_lock();  // it cannot wait for it any more
  });
  mutex.unlock();  // nobody runs before the wait begins
  WakeReason reason;
  do {
    reason = ParkIn(waiters_, WaitKind::kLock, reinterpret_cast<uintptr_t>(this), deadline);
  } while (reason == WakeReason::kResumed);
  mutex.lock();
  notify_next.Disarm();
  return reason;
}

void ConditionVariable::NotifyOne() { waiters_.WakeOne(WakeReason::kReady, kHanded); }

bool Semaphore::TryAcquire() noexcept {
  if (count_ == 0) return false;
  --count_;
  return true;
}

WakeReason Semaphore::Acquire(Deadline deadline) {
  if (TryAcquire()) return WakeReason::kReady;
  Coroutine& self = Waiter("a Semaphore without units was acquired on a thread's own stack");
  self.node.got = 0;
  OnUnwind undo([&] {
    if (self.node.got == kHanded) Release();
  });
  WakeReason reason;
  do {
    reason = ParkIn(waiters_, WaitKind::kLock, reinterpret_cast<uintptr_t>(this), deadline);
  } while (reason == WakeReason::kResumed && self.node.got != kHanded);
  undo.Disarm();
  return self.node.got == kHanded ? WakeReason::kReady : reason;
}

void Semaphore::Release(size_t units) {
  while (units > 0 && waiters_.WakeOne(WakeReason::kReady, kHanded)) --units;
  count_ += units;
}

void WaitGroup::Done() {
  COGI_CHECK(count_ > 0, "WaitGroup::Done() more often than Add() said");
  if (--count_ == 0) waiters_.WakeAll();
}

WakeReason WaitGroup::Wait(Deadline deadline) {
  WakeReason reason = WakeReason::kReady;
  while (count_ > 0) {
    reason = ParkIn(waiters_, WaitKind::kLock, reinterpret_cast<uintptr_t>(this), deadline);
    if (reason == WakeReason::kTimeout || reason == WakeReason::kCancelled) return reason;
  }
  return WakeReason::kReady;
}

}  // namespace cogi::coroutine
