#include "coroutine/resume.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>

#include "coroutine/check.h"
#include "coroutine/locals.h"
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

// SwitchTo() must be the last thing its caller does: in an ordinary build it comes back straight
// behind that caller (see context.h).
[[gnu::always_inline]] inline void SwitchTo(Coroutine& from, Coroutine& to, ThreadContext& thread) {
  StartSwitch(from.state() == State::kDone ? nullptr : &from, to);
  cogi_switch(&from.sp, to.sp, &thread.words);
#if COGI_SANITIZED
  FinishSwitch(from);
#endif
}

void Entry(void* argument);

// Prepare() makes ready to run what is next: its frames on its stack, its state in its place. Must
// not run on that stack.
void Prepare(Scheduler::Impl& impl, Coroutine& to) noexcept {
  if (to.Is(kWatched)) SetAccess(*to.stack, true);
  if (to.Is(kElsewhere)) TakeStack(to, &Entry, impl.buffers, impl.copies);
  if (to.Is(kInject)) {
    to.Unmark(kInject);
    if (under_valgrind) MakeAccessible(static_cast<char*>(to.sp) - sizeof(void*), to.sp);
    to.sp = InjectCall(to.sp, impl.injected);
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
  if (from.Is(kWatched) && from.stack != to.stack) SetAccess(*from.stack, false);
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
  __sanitizer_start_switch_fiber(from.state() == State::kDone ? nullptr : &from.fake_stack,
                                 impl.transfer_stack.base, impl.transfer_stack.size());
#endif
#if COGI_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
  cogi_switch_by(&from.sp, impl.transfer_stack.top, &thread.words, &Transfer, &impl);
  FinishSwitch(from);
}

void CheckResumable(const Coroutine& co, const ThreadContext& thread) {
  COGI_CHECK(co.scheduler != nullptr, "resume of a coroutine that has been released");
  COGI_CHECK(co.scheduler == thread.scheduler,
             "resume of a coroutine on another thread than its own: use Scheduler::Post()");
  COGI_CHECK(co.state() != State::kDone,
             "resume of a coroutine that has ended: reset it or make a new one");
  COGI_CHECK(co.state() != State::kRunning,
             "resume of a coroutine that runs, or that waits for one it has resumed itself");
}

// SwitchSlowly() decides what a switch needs beyond the change of registers.
[[gnu::noinline]] void SwitchSlowly(Coroutine& from, Coroutine& to, ThreadContext& thread) {
  if (from.hook != nullptr || to.hook != nullptr || from.stack == to.stack ||
      ((from.mark | to.mark) & kWatched) != 0)
    return SwitchByTransfer(from, to, thread);
  Prepare(*thread.scheduler, to);
  SwitchTo(from, to, thread);
}

[[gnu::noinline]] void SwitchKeepingWords(Coroutine& from, Coroutine& to, ThreadContext& thread) {
  const KeptWords kept(thread.words);
  SwitchSlowly(from, to, thread);
}

[[gnu::noinline]] void ResumeSlowly(Coroutine& co) {
  ThreadContext& thread = thread_context;
  Coroutine& self = *thread.current;
  CheckResumable(co, thread);
  if (co.stack == nullptr) {
    co.stack = thread.scheduler->shared_stacks.Choose(self.stack);
    COGI_CHECK(co.stack != nullptr, "all shared stacks are pinned and no further one can be had");
    ++co.stack->assigned;
  }
  COGI_CHECK(
      co.stack->pinned_by == nullptr || co.stack->pinned_by == &co,
      "resume of a coroutine whose shared stack is pinned by another: let the scheduler do it");
  co.resumer = &self;
  co.SetState(State::kRunning);
  thread.current = &co;
  if (!(&self == &thread.root ? LookAtOwnStack(thread.words) : Neutral(thread.words)))
    return SwitchKeepingWords(self, co, thread);
  SwitchSlowly(self, co, thread);
}

#if !COGI_SANITIZED

#if defined(__x86_64__)
extern "C" [[gnu::visibility("hidden")]] void cogi_resume_in_place(Coroutine& co);
#else
void cogi_resume_in_place(Coroutine& co) { Resume(co); }
#endif

// ResumeDisplacing() resumes one that is suspended, with nothing special but that another has used
// its stack meanwhile, from the thread's own stack. In two functions: the first needs no registers
// but those that are free to use.
template <class Line>
[[gnu::always_inline]] inline void ResumeDisplacing(Coroutine& co) {
  Scheduler::Impl& impl = *co.scheduler;
  if (Displace<Line>(co, impl.buffers, impl.copies)) return cogi_resume_in_place(co);
  ResumeSlowly(co);
}

[[gnu::noinline]] void ResumeDisplacingNarrow(Coroutine& co) { ResumeDisplacing<Narrow>(co); }
[[gnu::noinline]] void ResumeExchangingNarrow(Coroutine& co) {
  if (Exchange<Narrow>(co, co.scheduler->copies)) return cogi_resume_in_place(co);
  ResumeDisplacingNarrow(co);
}

#if defined(__x86_64__)
const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;  // false until constructors have run
[[gnu::noinline]] COGI_WIDE void ResumeDisplacingWide(Coroutine& co) { ResumeDisplacing<Wide>(co); }
[[gnu::noinline]] COGI_WIDE void ResumeExchangingWide(Coroutine& co) {
  if (Exchange<Wide>(co, co.scheduler->copies)) return cogi_resume_in_place(co);
  ResumeDisplacingWide(co);
}
#endif

#endif

}  // namespace

extern "C" {

// What the assembly of Resume() and YieldToResumer() leaves to C++.
[[gnu::visibility("hidden")]] void cogi_resume_slowly(Coroutine& co);
[[gnu::visibility("hidden")]] void cogi_suspend_slowly(uint32_t mark);

void cogi_resume_slowly(Coroutine& co) {
#if !COGI_SANITIZED
  // Suspended, with nothing special but that another has used its stack meanwhile.
  const ThreadContext& thread = thread_context;
  if (co.mark == (static_cast<uint32_t>(State::kParked) | kElsewhere) &&
      thread.current == thread.root_address && co.scheduler == thread.scheduler &&
      co.stack->pinned_by == nullptr) {
#if defined(__x86_64__)
    if (has_avx2) return ResumeExchangingWide(co);
#endif
    return ResumeExchangingNarrow(co);
  }
#endif
  ResumeSlowly(co);
}

void cogi_suspend_slowly(uint32_t mark) {
  ThreadContext& thread = thread_context;
  COGI_CHECK(thread.current != nullptr && thread.current != &thread.root,
             "yield outside a coroutine: there is nobody to yield to");
  Coroutine& self = *thread.current;
  if (self.Is(kKilled)) {  // one that is being unwound goes on at once, or is unwound again
    if (self.Has(kSwallowed)) ForceUnwind();
    return;
  }
  Coroutine& to = ResumerOf(self, thread);
  self.SetState(static_cast<State>(mark));
  thread.current = &to;
  if (!Neutral(thread.words)) return SwitchKeepingWords(self, to, thread);
  SwitchSlowly(self, to, thread);
}

}  // extern "C"

namespace {

// The parts of Entry() are functions of their own so that its frame, of which each parked coroutine
// keeps a copy, stays small.
[[gnu::noinline]] void TakeBody(Coroutine& co, Body& body) noexcept {
  body = std::move(co.body());
  co.body().~Body();
  new (&co.node) WaitNode{};
  co.node.coroutine = &co;
}

[[gnu::noinline, gnu::cold]] void CaughtAtEntry(Coroutine& co) {
  // A forced unwinding is no C++ exception: there is no pointer to it.
  if (const std::exception_ptr exception = std::current_exception())
    co.scheduler->on_uncaught(co, exception);
  else
    co.Set(kUnwound);
}

// Entry() is the whole life of a coroutine. The captures of its body end with it.
void Entry(void* argument) {
  auto& co = *static_cast<Coroutine*>(argument);
  FinishSwitch(co);
  {
    Body body;
    TakeBody(co, body);
    try {
      body();
    } catch (...) {
      CaughtAtEntry(co);
    }
    if (co.locals != nullptr) DestroyLocals(co);
  }
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
  Coroutine& to = ResumerOf(co, thread);
  co.SetState(State::kDone);
  thread.current = &to;
  co.scheduler->Unpinned(co);
  co.stack->owner = nullptr;
  if (Neutral(thread.words)) SwitchSlowly(co, to, thread);
  SwitchKeepingWords(co, to, thread);
  __builtin_unreachable();
}

#if COGI_SANITIZED
extern "C" void cogi_suspend_as(uint32_t mark) { cogi_suspend_slowly(mark); }
void Resume(Coroutine& co) { cogi_resume_slowly(co); }
void YieldToResumer() { cogi_suspend_slowly(static_cast<uint32_t>(State::kParked)); }
#endif

void Yield() {
  Coroutine* self = Running();
  if (self == nullptr) return;
  if (!self->Is(kKilled)) self->scheduler->PushReady(*self);
  cogi_suspend_as(static_cast<uint32_t>(State::kReady));
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
  COGI_CHECK(co.state() != State::kRunning,
             "release of a coroutine that runs, or that waits for one it has resumed");
  if (co.state() != State::kDone && co.sp != nullptr &&
      (co.stack->pinned_by == nullptr || co.stack->pinned_by == &co)) {
    co.Mark(kKilled);
    co.Set(kCancelFlag);
    co.Mark(kInject);
    co.scheduler->injected = &ForceUnwind;
    co.scheduler->timers.Cancel(co.timer);
    co.since = 0;
    co.SetState(State::kParked);
    Resume(co);
  }
  co.scheduler->Release(co);
}

void Abandon(Coroutine* self) noexcept {
  if (self == nullptr) return;
  COGI_CHECK(self->scheduler != nullptr, "a coroutine was released twice");
  COGI_CHECK(self->state() != State::kRunning && self->state() != State::kNested,
             "release of a coroutine that runs, or that waits for one it has resumed");
  self->scheduler->Release(*self);
}

}  // namespace cogi::coroutine
