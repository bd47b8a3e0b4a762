#include "coroutine/inspect.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {
namespace {

constexpr size_t kDeepest = 64;

// A backtrace is taken by the coroutine itself: only its own stack, in place, can be unwound with
// the unwind tables alone, whether the code has frame pointers or not. Where it is suspended, a
// call of WalkItself() is injected; that suspends it again, and returns when it is next resumed for
// good.
struct Walk {
  std::array<void*, kDeepest> frames;
  size_t count = 0;
};
thread_local Walk* walk = nullptr;

_Unwind_Reason_Code Collect(_Unwind_Context* context, void* argument) {
  auto& into = *static_cast<Walk*>(argument);
  const _Unwind_Ptr address = _Unwind_GetIP(context);
  if (into.count == kDeepest || address == 0) return _URC_END_OF_STACK;
  into.frames[into.count++] = reinterpret_cast<void*>(address);
  return _URC_NO_REASON;
}

void WalkItself() {
  [[maybe_unused]] Coroutine& self = *thread_context.current;
#if COGI_ASAN
  __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
  _Unwind_Backtrace(&Collect, walk);
  YieldToResumer();
#if COGI_ASAN
  // What follows is the end of the suspension that this was called from: it expects a switch.
  __sanitizer_start_switch_fiber(&self.fake_stack, self.stack->base, self.stack->size());
#endif
}

#if !COGI_SANITIZED
// FrameOf() is what a suspended coroutine saved last, wherever it lies now.
SwitchFrame& FrameOf(Coroutine& co) {
  auto* frame = static_cast<char*>(co.sp);
  if (co.save.used != 0) frame = co.save.data + co.save.used - (co.stack->top - frame);
  return *reinterpret_cast<SwitchFrame*>(frame);
}

#endif

const char* NameOf(State state) {
  constexpr const char* kNames[] = {"new", "ready", "running", "nested", "parked", "done"};
  return kNames[static_cast<int>(state)];
}

std::string WaitOf(const Inspection& seen) {
  const auto hexadecimal = [&] {
    char text[24];
    std::snprintf(text, sizeof text, "0x%zx", static_cast<size_t>(seen.subject));
    return std::string(text);
  };
  const std::string number = std::to_string(seen.subject);
  switch (seen.waits_for) {
    case WaitKind::kNone:
      return "";
    case WaitKind::kFd:
      return "descriptor " + number;
    case WaitKind::kPoll:
      return "one of " + number + " descriptors";
    case WaitKind::kTimer:
      return "a time";
    case WaitKind::kLock:
      return "lock " + hexadecimal();
    case WaitKind::kChannel:
      return "channel " + hexadecimal();
    case WaitKind::kJoin:
      return "the end of coroutine #" + number;
    case WaitKind::kProcess:
      return "process " + number;
    case WaitKind::kName:
      return "a name";
    case WaitKind::kThread:
      return "a helper thread";
    case WaitKind::kAdmission:
      return "a place";
  }
  return "";
}

std::string SymbolOf(void* address) {
  char text[64];
  Dl_info info{};
  // A return address may be the first of the next function: look up the call before it.
  auto* const call = static_cast<char*>(address) - 1;
  if (dladdr(call, &info) == 0 || info.dli_fname == nullptr) {
    std::snprintf(text, sizeof text, "%p", address);
    return text;
  }
  std::string symbol = "?";
  auto* from = static_cast<char*>(info.dli_fbase);
  if (info.dli_sname != nullptr) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
    symbol = status == 0 ? demangled.get() : info.dli_sname;
    from = static_cast<char*>(info.dli_saddr);
  }
  std::snprintf(text, sizeof text, "+0x%zx",
                static_cast<size_t>(static_cast<char*>(address) - from));
  return symbol + text + " in " + info.dli_fname;
}

}  // namespace

Inspection Inspect(const Coroutine& self) noexcept {
  const Scheduler::Impl& impl = *self.scheduler;
  const bool parked = self.wait_kind != WaitKind::kNone && self.sp != nullptr;
  return {
      .id = self.id,
      .name = self.name,
      .state = StateOf(self),
      .stack_mode = self.mode,
      .stack_size = self.stack == nullptr ? 0 : self.stack->size(),
      .saved_bytes = self.save.used,
      .pinned = self.pins > 0,
      .cancelled = self.Has(kCancelFlag),
      .waits_for = parked ? self.wait_kind : WaitKind::kNone,
      .subject = self.subject,
      // Modulo 2^32 milliseconds (49 days), as `since` is.
      .waiting = std::chrono::milliseconds(
          parked ? static_cast<uint32_t>((MonotonicNow() - impl.started) / 1'000'000) - self.since
                 : 0)};
}

std::vector<void*> Backtrace(Coroutine& self) {
  const State state = self.state();
  if (self.sp == nullptr || self.Is(kKilled) ||
      (state != State::kParked && state != State::kReady) ||
      (self.stack->pinned_by != nullptr && self.stack->pinned_by != &self))
    return {};
  COGI_CHECK(self.scheduler == CurrentImpl(), "a backtrace of another thread's coroutine");
  Walk taken;
  walk = &taken;
  self.scheduler->injected = &WalkItself;
  self.Mark(kInject);
  self.SetState(State::kParked);
#if COGI_SANITIZED
  Resume(self);
#else
  void* const sp = self.sp;
  const SwitchFrame frame = FrameOf(self);
  Resume(self);
  // As if nothing had been: or each look at it would leave a frame behind. (Left behind they do no
  // harm, if the stack cannot be reached from here.)
  if (!self.Is(kElsewhere) && !self.Is(kWatched)) {
    self.sp = sp;
    FrameOf(self) = frame;
  }
#endif
  self.SetState(state);
  walk = nullptr;
  const size_t first = taken.count == 0 ? 0 : 1;  // not WalkItself()
  return std::vector<void*>(taken.frames.begin() + first, taken.frames.begin() + taken.count);
}

std::string Describe(Coroutine& self) {
  const Inspection seen = Inspect(self);
  std::string text =
      "coroutine #" + std::to_string(seen.id) + " \"" + seen.name + "\" " + NameOf(seen.state);
  if (seen.waits_for != WaitKind::kNone)
    text += " for " + WaitOf(seen) + ", " + std::to_string(seen.waiting.count()) + " ms";
  text += seen.stack_mode == StackMode::kShared ? ", shared stack" : ", private stack";
  if (seen.saved_bytes > 0) text += " (" + std::to_string(seen.saved_bytes) + " bytes saved)";
  if (seen.pinned) text += ", pinned";
  if (seen.cancelled) text += ", cancelled";
  text += '\n';
  for (void* address : Backtrace(self)) text += "    " + SymbolOf(address) + '\n';
  return text;
}

std::string DescribeAll() {
  std::string text;
  if (Scheduler* scheduler = Scheduler::Current())
    scheduler->ForEach([&text](Coroutine& co) { text += Describe(co); });
  return text;
}

}  // namespace cogi::coroutine
