// The control block of a coroutine, and the state of a thread that runs coroutines. Private to
// coroutine/.
#ifndef COGI_COROUTINE_CONTROL_BLOCK_H_
#define COGI_COROUTINE_CONTROL_BLOCK_H_

#include <functional>
#include <new>

#include "coroutine/context.h"
#include "coroutine/coroutine.h"
#include "coroutine/sanitizers.h"
#include "coroutine/save_buffers.h"
#include "coroutine/scheduler.h"
#include "coroutine/stack.h"
#include "coroutine/timer_wheel.h"

namespace cogi::coroutine {

class SharedStacks;

enum Flag : uint16_t {
  kHooks = 1 << 0,       // hooked calls park
  kCancelFlag = 1 << 1,  // Cancel() was called
  kInPark = 1 << 2,      // suspended by Park(): a wake makes it ready
  kQueued = 1 << 3,      // linked into the ready queue (or a pinned stack's queue)
  kScheduled = 1 << 4,   // made by Spawn(): the scheduler frees it at its end
  kKilled = 1 << 5,      // being unwound: it must not suspend again
  kUnwound = 1 << 6,     // the unwinding has reached the entry
  kSwallowed = 1 << 7,   // a catch (...) of the body has stopped the unwinding
  kInject = 1 << 8,      // ForceUnwind() is to be called when it runs next
};

using Body = std::function<void()>;

// The first cache line is what a switch touches.
class alignas(64) Coroutine {
 public:
  void* sp = nullptr;            // while suspended
  RunStack* stack = nullptr;     // null: has not run (or: shared, not yet chosen)
  Coroutine* resumer = nullptr;  // who gets control when it yields; while it runs
  SwitchHook* hook = nullptr;
  SaveBuffers::Buffer save;  // of its frames...
  uint32_t saved = 0;        // ...this many bytes are in it; 0: they lie on the stack
  State state = State::kNew;
  StackMode mode = StackMode::kShared;
  uint16_t flags = 0;
  Scheduler::Impl* scheduler = nullptr;  // null: a free block

  uint64_t id = 0;
  const char* name = "";
  void* program_slot = nullptr;
  void* locals = nullptr;  // coroutine-local storage and who joins, once used
  TimerNode timer;

  Coroutine* ready_next = nullptr;
  union {
    WaitNode node;                                       // once it runs
    alignas(Body) std::byte body_storage[sizeof(Body)];  // until then
  };
  uintptr_t subject = 0;
  uint32_t since = 0;  // ms of the scheduler's life at which it parked
  uint16_t pins = 0;
  WakeReason reason = WakeReason::kReady;
  WaitKind wait_kind = WaitKind::kNone;

#if COGI_ASAN
  void* fake_stack = nullptr;
#endif
#if COGI_TSAN
  void* fiber = nullptr;
#endif

  constexpr Coroutine() : node() {}
  Body& body() { return *std::launder(reinterpret_cast<Body*>(body_storage)); }
  [[nodiscard]] bool Has(Flag flag) const { return (flags & flag) != 0; }
  void Set(Flag flag) { flags = static_cast<uint16_t>(flags | flag); }
  void Clear(Flag flag) { flags = static_cast<uint16_t>(flags & ~flag); }
};
#if !COGI_SANITIZED
static_assert(sizeof(Coroutine) <= 192);
#endif

// ThreadContext: one per thread. `words` must be first (see context.h).
struct ThreadContext {
  ThreadWords words{};
  Coroutine* current = nullptr;  // the running coroutine, or &root on the thread's own stack
  Scheduler::Impl* scheduler = nullptr;
  RunStack root_stack;
  Coroutine root;  // stands for the thread's own stack
};

extern constinit thread_local ThreadContext thread_context;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_CONTROL_BLOCK_H_
