#include "coroutine/coroutine.h"

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {

Coroutine* Current() noexcept { return Running(); }

uint64_t Id(const Coroutine& self) noexcept { return self.id; }
const char* Name(const Coroutine& self) noexcept { return self.name; }
void SetName(Coroutine& self, const char* name) noexcept {
  self.name = name == nullptr ? "" : name;
}
State StateOf(const Coroutine& self) noexcept {
  const State state = self.state();
  return state == State::kRunning && &self != thread_context.current ? State::kNested : state;
}
WaitNode& WaitNodeOf(Coroutine& self) noexcept { return self.node; }
bool HooksEnabled(const Coroutine& self) noexcept { return self.Has(kHooks); }
void EnableHooks(Coroutine& self, bool enabled) noexcept {
  enabled ? self.Set(kHooks) : self.Clear(kHooks);
}
SwitchHook* SwitchHookOf(const Coroutine& self) noexcept { return self.hook; }
void SetProgramSlot(Coroutine& self, void* state) noexcept { self.program_slot = state; }
void* ProgramSlot(const Coroutine& self) noexcept { return self.program_slot; }

void SetSwitchHook(Coroutine& self, SwitchHook* hook) noexcept {
  const bool running = &self == Running();
  if (running && self.hook != nullptr) self.hook->Leave(self);
  self.hook = hook;
  hook == nullptr ? self.Unmark(kHooked) : self.Mark(kHooked);
  if (running && hook != nullptr) hook->Enter(self);
}

void Pin(Coroutine& self) {
  COGI_CHECK(&self == Running(), "Pin() of a coroutine that is not the running one");
  if (self.pins == 0 && self.mode == StackMode::kShared) {
    // Others that have frames on this stack wait for the unpin; those to come get a further one.
    self.stack->pool->Pin(*self.stack, self);
  }
  COGI_CHECK(self.pins < 255, "Pin() without Unpin()");
  ++self.pins;
}

void Unpin(Coroutine& self) noexcept {
  COGI_CHECK(self.pins > 0, "Unpin() without Pin()");
  if (--self.pins == 0) self.scheduler->Unpinned(self);
}

bool OnSharedStack(const void* address) noexcept {
  const Coroutine* self = Running();
  return self != nullptr && self->mode == StackMode::kShared && self->pins == 0 &&
         self->stack->Contains(address);
}

void Cancel(Coroutine& self) noexcept {
  self.Set(kCancelFlag);
  if (self.Has(kInPark) && !self.Has(kShielded)) {
    if (self.node.list != nullptr && self.state() == State::kParked)
      self.node.list->Remove(self.node);
    MakeReady(self, WakeReason::kCancelled);
  }
}
bool CancelEndsWaits(const Coroutine& self) noexcept {
  return self.Has(kCancelFlag) && !self.Has(kShielded);
}

ShieldScope::ShieldScope() noexcept : self_(Running()) {
  if (self_ == nullptr) return;
  if (self_->Has(kShielded))
    self_ = nullptr;
  else
    self_->Set(kShielded);
}
ShieldScope::~ShieldScope() {
  if (self_ != nullptr) self_->Clear(kShielded);
}

bool Cancelled(const Coroutine& self) noexcept { return self.Has(kCancelFlag); }
void ClearCancel(Coroutine& self) noexcept {
  if (!self.Is(kKilled)) self.Clear(kCancelFlag);
}

}  // namespace cogi::coroutine
