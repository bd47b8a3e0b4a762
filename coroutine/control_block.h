// The control block of a coroutine, and the state of a thread that runs coroutines. Private to
// coroutine/.
#ifndef COGI_COROUTINE_CONTROL_BLOCK_H_
#define COGI_COROUTINE_CONTROL_BLOCK_H_

#include <cstddef>
#include <functional>
#include <new>

#include "coroutine/context.h"
#include "coroutine/coroutine.h"
#include "coroutine/layout.h"
#include "coroutine/sanitizers.h"
#include "coroutine/save_buffers.h"
#include "coroutine/scheduler.h"
#include "coroutine/stack.h"
#include "coroutine/timer_wheel.h"

namespace cogi::coroutine {

class SharedStacks;
struct Locals;

enum Flag : uint16_t {
  kHooks = 1 << 0,       // hooked calls park
  kCancelFlag = 1 << 1,  // Cancel() was called
  kInPark = 1 << 2,      // suspended by Park(): a wake makes it ready
  kQueued = 1 << 3,      // linked into the ready queue (or a pinned stack's queue)
  kScheduled = 1 << 4,   // made by Spawn(): the scheduler frees it at its end
  kUnwound = 1 << 6,     // the unwinding has reached the entry
  kShielded = 1 << 5,    // Cancel() does not end its waits
  kSwallowed = 1 << 7,   // a catch (...) of the body has stopped the unwinding
};

// Special: what makes a switch to or from a coroutine more than a change of registers.
enum Special : uint32_t {
  kElsewhere = 1 << 8,  // its frames do not lie on its stack: saved, or there are none yet
  kHooked = 1 << 9,     // it has a switch hook
  kInject = 1 << 10,    // a call of InjectedCall() is to be made when it runs next
  kKilled = 1 << 11,    // being unwound: it must not suspend again
  kWatched = 1 << 12,   // its stack is made inaccessible while it does not run
  kOnTop = 1 << 16,  // it runs, and was resumed from the thread's own stack (with nothing special)
};

using Body = std::function<void()>;

// The first cache line is what a switch touches.
class alignas(64) Coroutine {
 public:
  void* sp = nullptr;                    // while suspended
  Scheduler::Impl* scheduler = nullptr;  // null: a free block
  // State (low byte; kRunning also stands for kNested) and Special bits in one word, so that one
  // comparison tells whether a switch is a simple one. Always read and written whole.
  uint32_t mark = static_cast<uint32_t>(State::kNew) | kElsewhere;
  uint16_t flags = 0;
  uint8_t pins = 0;
  StackMode mode = StackMode::kShared;
  RunStack* stack = nullptr;     // null: has not run (or: shared, not yet chosen)
  Coroutine* resumer = nullptr;  // who gets control when it yields; while it runs and is not kOnTop
  SaveBuffers::Buffer save;      // of its frames
  SwitchHook* hook = nullptr;

  const char* name = "";
  TimerNode timer;
  Coroutine* ready_next = nullptr;
  uintptr_t subject = 0;
  uint32_t since = 0;  // ms of the scheduler's life at which it parked
  WakeReason reason = WakeReason::kReady;
  WaitKind wait_kind = WaitKind::kNone;
  union {
    WaitNode node;                                       // once it runs
    alignas(Body) std::byte body_storage[sizeof(Body)];  // until then
  };
  uint64_t id = 0;
  void* program_slot = nullptr;
  Locals* locals = nullptr;  // once used

#if COGI_ASAN
  void* fake_stack = nullptr;
#endif
#if COGI_TSAN
  void* fiber = nullptr;
#endif

  constexpr Coroutine() : node() {}
  Body& body() { return *std::launder(reinterpret_cast<Body*>(body_storage)); }
  // state() is kRunning for nested ones, too: StateOf() tells them apart.
  [[nodiscard]] State state() const { return static_cast<State>(mark & 0xff); }
  void SetState(State state) { mark = (mark & 0xff00) | static_cast<uint32_t>(state); }
  [[nodiscard]] bool Is(Special special) const { return (mark & special) != 0; }
  void Mark(Special special) { mark |= special; }
  void Unmark(Special special) { mark &= ~special; }
  [[nodiscard]] bool Has(Flag flag) const { return (flags & flag) != 0; }
  void Set(Flag flag) { flags = static_cast<uint16_t>(flags | flag); }
  void Clear(Flag flag) { flags = static_cast<uint16_t>(flags & ~flag); }
};
#if !COGI_SANITIZED
static_assert(sizeof(Coroutine) <= 192);
#endif

// ThreadContext: one per thread.
struct ThreadContext {
  ThreadWords words;
  Coroutine* current = nullptr;  // the running coroutine, or &root on the thread's own stack
  Scheduler::Impl* scheduler = nullptr;
  Coroutine* root_address = nullptr;  // &root, once the thread has had a scheduler
  uint32_t seen_mxcsr = 0;            // the switch's
  Coroutine root;                     // stands for the thread's own stack
  RunStack root_stack;
};

// ResumerOf() is who gets control when the running coroutine `co` yields.
[[nodiscard]] inline Coroutine& ResumerOf(const Coroutine& co, ThreadContext& thread) {
  return co.Is(kOnTop) ? thread.root : *co.resumer;
}

static_assert(offsetof(Coroutine, sp) == COGI_COROUTINE_SP);
static_assert(offsetof(Coroutine, scheduler) == COGI_COROUTINE_SCHEDULER);
static_assert(offsetof(Coroutine, mark) == COGI_COROUTINE_MARK);
static_assert(static_cast<uint32_t>(State::kParked) == COGI_MARK_PARKED);
static_assert((static_cast<uint32_t>(State::kRunning) | kOnTop) == COGI_MARK_RUNNING_ON_TOP);
static_assert(offsetof(ThreadWords, errno_address) == COGI_THREAD_ERRNO);
static_assert(offsetof(ThreadWords, exception_globals) == COGI_THREAD_EXCEPTIONS);
static_assert(offsetof(ThreadWords, modes) == COGI_THREAD_MODES);
static_assert(offsetof(ThreadContext, words) == 0);
static_assert(offsetof(ThreadContext, current) == COGI_THREAD_CURRENT);
static_assert(offsetof(ThreadContext, scheduler) == COGI_THREAD_SCHEDULER);
static_assert(offsetof(ThreadContext, root_address) == COGI_THREAD_ROOT_ADDRESS);
static_assert(offsetof(ThreadContext, seen_mxcsr) == COGI_THREAD_SEEN_MXCSR);
static_assert(offsetof(ThreadContext, root) == COGI_THREAD_ROOT_SP);

extern constinit thread_local ThreadContext thread_context;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_CONTROL_BLOCK_H_
