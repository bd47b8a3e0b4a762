#include "coroutine/wait.h"

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {

WaitList::~WaitList() {
  if (head_ != nullptr) WakeAll(WakeReason::kClosed);
}

void WaitList::LinkedTwice() {
  CheckFailed(__FILE__, __LINE__, "a wait node was linked into a second list");
}

void WaitList::Wake(WaitNode& node, WakeReason reason) {
  Remove(node);
  MakeReady(*node.coroutine, reason);
}

bool WaitList::WakeOne(WakeReason reason, uint32_t got) {
  while (WaitNode* node = head_) {
    Remove(*node);
    if (!MakeReady(*node->coroutine, reason)) continue;
    if (got != 0) node->got = got;
    return true;
  }
  return false;
}

size_t WaitList::WakeAll(WakeReason reason) {
  size_t woken = 0;
  // Those who come back to the list while this goes on (nobody runs, so none can) would stay.
  while (WakeOne(reason)) ++woken;
  return woken;
}

bool MakeReady(Coroutine& co, WakeReason reason) noexcept {
  if (!co.Has(kInPark) || co.state() != State::kParked) return false;
  co.reason = reason;
  co.scheduler->timers.Cancel(co.timer);
  co.SetState(State::kReady);
  co.scheduler->PushReady(co);
  return true;
}

namespace {

// BeginPark() returns false if the running coroutine must not wait.
[[gnu::noinline]] bool BeginPark(Coroutine& co, WaitKind kind, uintptr_t subject,
                                 Deadline deadline) {
  Scheduler::Impl& impl = *co.scheduler;
  if (co.Has(kCancelFlag) && (!co.Has(kShielded) || co.Is(kKilled))) {
    if (co.node.list != nullptr) co.node.list->Remove(co.node);
    if (co.Has(kSwallowed)) ForceUnwind();
    return false;
  }
  co.wait_kind = kind;
  co.subject = subject;
  co.since = static_cast<uint32_t>((impl.now - impl.started) / 1'000'000);
  co.reason = WakeReason::kResumed;
  co.Set(kInPark);
  if (deadline != kNoDeadline) impl.timers.Arm(co.timer, deadline.time_since_epoch().count());
  return true;
}

[[gnu::noinline]] WakeReason EndPark(Coroutine& co) {
  co.Clear(kInPark);
  co.wait_kind = WaitKind::kNone;
  co.scheduler->timers.Cancel(co.timer);
  if (co.node.list != nullptr) co.node.list->Remove(co.node);
  return co.reason;
}

}  // namespace

// Each parked coroutine keeps a copy of this frame: nothing lives in it over the suspension.
WakeReason Park(WaitKind kind, uintptr_t subject, Deadline deadline) {
  Coroutine* self = Running();
  COGI_CHECK(self != nullptr, "Park() outside a coroutine: a thread's own stack cannot park");
  if (!BeginPark(*self, kind, subject, deadline)) return WakeReason::kCancelled;
  YieldToResumer();
  return EndPark(*Running());
}

WakeReason ParkIn(WaitList& waiters, WaitKind kind, uintptr_t subject, Deadline deadline) {
  Coroutine* self = Running();
  COGI_CHECK(self != nullptr, "a wait outside a coroutine: a thread's own stack cannot park");
  waiters.Add(self->node);
  return Park(kind, subject, deadline);
}

}  // namespace cogi::coroutine
