#include "coroutine/resume.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {

constinit thread_local ThreadContext thread_context;

namespace {

// Before and after a change of stacks, for the sanitizers. `leaving` is null if nobody comes back.
inline void StartSwitch([[maybe_unused]] Coroutine* leaving, [[maybe_unused]] Coroutine& to) {
#if COGI_ASAN
  __sanitizer_start_switch_fiber(leaving == nullptr ? nullptr : &leaving->fake_stack,
                                 to.stack->base, to.stack->size());
#endif
#if COGI_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

inline void FinishSwitch([[maybe_unused]] Coroutine& arrived) {
#if COGI_ASAN
  __sanitizer_finish_switch_fiber(arrived.fake_stack, nullptr, nullptr);
#endif
}

using SwitchFunction = void (*)(void**, void*, const ThreadWords*);

// SwitchTo() must be the last thing its caller does: in an ordinary build it comes back straight
// behind that caller (see context.h).
[[gnu::always_inline]] inline void SwitchTo(SwitchFunction change, Coroutine& from, Coroutine& to,
                                            ThreadContext& thread) {
#if COGI_SANITIZED
  StartSwitch(from.state == State::kDone ? nullptr : &from, to);
  change(&from.sp, to.sp, &thread.words);
  FinishSwitch(from);
#else
  change(&from.sp, to.sp, &thread.words);
#endif
}

void Entry(void* argument);

// Prepare() makes ready to run what is next: its frames on its stack, its state in its place. Must
// not run on that stack.
void Prepare(Scheduler::Impl& impl, Coroutine& to) noexcept {
  if (to.stack->owner != &to) TakeStack(to, &Entry, impl.buffers, impl.copies);
  if (to.Has(kInject)) {
    to.Clear(kInject);
    to.sp = InjectCall(to.sp, &ForceUnwind);
  }
}

// Transfer() runs on the scheduler's own small stack, between two coroutines.
void* Transfer(void* argument) {
  auto& impl = *static_cast<Scheduler::Impl*>(argument);
  Coroutine& from = *impl.transfer_from;
  Coroutine& to = *impl.transfer_to;
#if COGI_ASAN
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  if (from.hook != nullptr) from.hook->Leave(from);
  Prepare(impl, to);
  if (to.hook != nullptr) to.hook->Enter(to);
#if COGI_ASAN
  __sanitizer_start_switch_fiber(nullptr, to.stack->base, to.stack->size());
#endif
  return to.sp;
}

// SwitchByTransfer() is for switches with hooks, and for those between two coroutines of one stack.
void SwitchByTransfer(Coroutine& from, Coroutine& to, ThreadContext& thread) {
  Scheduler::Impl& impl = *thread.scheduler;
  impl.transfer_from = &from;
  impl.transfer_to = &to;
#if COGI_ASAN
  __sanitizer_start_switch_fiber(from.state == State::kDone ? nullptr : &from.fake_stack,
                                 impl.transfer_stack.base, impl.transfer_stack.size());
#endif
#if COGI_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
  cogi_switch_by(&from.sp, impl.transfer_stack.top, &thread.words, &Transfer, &impl);
  FinishSwitch(from);
}

// SwitchSlowly() decides what a switch needs beyond the change of registers.
[[gnu::noinline]] void SwitchSlowly(SwitchFunction change, Coroutine& from, Coroutine& to,
                                    ThreadContext& thread) {
  if (from.hook != nullptr || to.hook != nullptr || from.stack == to.stack)
    return SwitchByTransfer(from, to, thread);
  Prepare(*thread.scheduler, to);
  SwitchTo(change, from, to, thread);
}

[[gnu::noinline]] void ResumeSlowly(Coroutine& co, ThreadContext& thread) {
  COGI_CHECK(co.scheduler != nullptr, "resume of a coroutine that has been released");
  COGI_CHECK(co.scheduler == thread.scheduler,
             "resume of a coroutine on another thread than its own: use Scheduler::Post()");
  COGI_CHECK(co.state != State::kDone,
             "resume of a coroutine that has ended: reset it or make a new one");
  COGI_CHECK(co.state != State::kRunning && co.state != State::kNested,
             "resume of a coroutine that runs, or that waits for one it has resumed itself");
  Coroutine& self = *thread.current;
  if (co.stack == nullptr) {
    co.stack = thread.scheduler->shared_stacks.Choose(self.stack);
    COGI_CHECK(co.stack != nullptr, "all shared stacks are pinned and no further one can be had");
    ++co.stack->assigned;
  }
  COGI_CHECK(
      co.stack->pinned_by == nullptr || co.stack->pinned_by == &co,
      "resume of a coroutine whose shared stack is pinned by another: let the scheduler do it");
  co.resumer = &self;
  co.state = State::kRunning;
  self.state = State::kNested;
  thread.current = &co;
  SwitchSlowly(&cogi_switch_resume, self, co, thread);
}

// RunBody() is the coroutine's own part of its life. Its captures end with it.
inline void RunBody(Coroutine& co) {
  Body body(std::move(co.body()));
  co.body().~Body();
  new (&co.node) WaitNode{};
  co.node.coroutine = &co;
  try {
    body();
  } catch (...) {
    // A forced unwinding is no C++ exception: there is no pointer to it.
    if (const std::exception_ptr exception = std::current_exception())
      co.scheduler->on_uncaught(co, exception);
    else
      co.Set(kUnwound);
  }
}

// SuspendAs() gives control to the resumer. Like SwitchTo(), the last thing its caller does.
[[gnu::always_inline]] inline void SuspendAs(State state, Coroutine& self, ThreadContext& thread) {
  Coroutine& to = *self.resumer;
  self.state = state;
  to.state = State::kRunning;
  thread.current = &to;
  if (self.hook != nullptr || to.hook != nullptr || to.stack->owner != &to) [[unlikely]]
    return SwitchSlowly(&cogi_switch_yield, self, to, thread);
  SwitchTo(&cogi_switch_yield, self, to, thread);
}

// RefuseToSuspend(): one that is being unwound goes on at once, or is unwound again.
[[gnu::cold]] void RefuseToSuspend(Coroutine& self) {
  if (self.Has(kSwallowed)) ForceUnwind();
}

void Entry(void* argument) {
  auto& co = *static_cast<Coroutine*>(argument);
  FinishSwitch(co);
  RunBody(co);
  Finish(co);
}

}  // namespace

void Finish(Coroutine& co) noexcept {
  ThreadContext& thread = thread_context;
  if (thread.current != &co) {
    // A forked child has come to the end of the coroutine that called fork().
    std::fflush(nullptr);
    std::_Exit(0);
  }
  Coroutine& to = *co.resumer;
  co.state = State::kDone;
  to.state = State::kRunning;
  thread.current = &to;
  co.scheduler->Unpinned(co);
  co.stack->owner = nullptr;
  if (co.hook != nullptr || to.hook != nullptr || to.stack->owner != &to)
    SwitchSlowly(&cogi_switch_yield, co, to, thread);
  else
    SwitchTo(&cogi_switch_yield, co, to, thread);
  __builtin_unreachable();
}

void Resume(Coroutine& co) {
  ThreadContext& thread = thread_context;
  Coroutine& self = *thread.current;
  const bool simple = co.state == State::kParked && co.scheduler == thread.scheduler &&
                      co.stack->owner == &co && co.hook == nullptr && self.hook == nullptr &&
                      !co.Has(kInject);
  if (!simple) [[unlikely]]
    return ResumeSlowly(co, thread);
  co.resumer = &self;
  co.state = State::kRunning;
  self.state = State::kNested;
  thread.current = &co;
  SwitchTo(&cogi_switch_resume, self, co, thread);
}

void YieldToResumer() {
  ThreadContext& thread = thread_context;
  Coroutine& self = *thread.current;
  COGI_CHECK(&self != &thread.root, "yield outside a coroutine: there is nobody to yield to");
  if (self.Has(kKilled)) [[unlikely]]
    return RefuseToSuspend(self);
  SuspendAs(State::kParked, self, thread);
}

void Yield() {
  ThreadContext& thread = thread_context;
  Coroutine& self = *thread.current;
  if (&self == &thread.root || thread.scheduler == nullptr) return;
  if (self.Has(kKilled)) [[unlikely]]
    return RefuseToSuspend(self);
  self.scheduler->PushReady(self);
  SuspendAs(State::kReady, self, thread);
}
Coroutine* Create(std::function<void()> body, const SpawnOptions& options, SharedStacks* stacks) {
  Scheduler::Impl* impl = CurrentImpl();
  COGI_CHECK(impl != nullptr, "a coroutine needs a Scheduler on its thread");
  return impl->Create(std::move(body), options, stacks);
}

void Destroy(Coroutine* self) {
  if (self == nullptr) return;
  Coroutine& co = *self;
  COGI_CHECK(co.scheduler != nullptr, "a coroutine was released twice");
  COGI_CHECK(co.scheduler == CurrentImpl(), "a coroutine was released on another thread");
  COGI_CHECK(co.state != State::kRunning && co.state != State::kNested,
             "release of a coroutine that runs, or that waits for one it has resumed");
  if (co.state != State::kDone && co.sp != nullptr &&
      (co.stack->pinned_by == nullptr || co.stack->pinned_by == &co)) {
    co.Set(kKilled);
    co.Set(kCancelFlag);
    co.Set(kInject);
    co.scheduler->timers.Cancel(co.timer);
    co.since = 0;
    co.state = State::kParked;
    Resume(co);
  }
  co.scheduler->Release(co);
}

void Abandon(Coroutine* self) noexcept {
  if (self == nullptr) return;
  COGI_CHECK(self->scheduler != nullptr, "a coroutine was released twice");
  COGI_CHECK(self->state != State::kRunning && self->state != State::kNested,
             "release of a coroutine that runs, or that waits for one it has resumed");
  self->scheduler->Release(*self);
}

}  // namespace cogi::coroutine
