// Coroutine: the control block of a stackful coroutine, and the two points that state per coroutine
// hangs on, the switch hook and the pin. To start one, see scheduler.h. A coroutine stays on the
// thread that made it.
#ifndef COGI_COROUTINE_COROUTINE_H_
#define COGI_COROUTINE_COROUTINE_H_

#include <cstddef>
#include <cstdint>

#include "coroutine/export.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

enum class StackMode : uint8_t {
  kShared,   // runs on one of a few large stacks; parked, only its used bytes are kept (copied when
             // another needs them)
  kPrivate,  // owns a guarded stack for its life
};

enum class State : uint8_t {
  kNew,      // created, has not run
  kReady,    // in the ready queue
  kRunning,  // the one that runs now
  kNested,   // has resumed another coroutine and waits for it to yield
  kParked,   // suspended: in Park(), or by Yield() to its resumer
  kDone,     // has ended
};

// SwitchHook carries state of the process over switches for the coroutines that need it (those that
// run programs: their environ, stdio pointers, static data). A coroutine without one pays a null
// check. Both calls are made on the resumer's stack, with the coroutine's own frames not running;
// they must not yield, throw or allocate.
class SwitchHook {
 public:
  // Enter() is called just before `self` runs; Leave() just after it has stopped running, also for
  // the last time.
  virtual void Enter(Coroutine& self) noexcept = 0;
  virtual void Leave(Coroutine& self) noexcept = 0;

 protected:
  ~SwitchHook() = default;
};

// At most 192 bytes, whatever the mode.
class Coroutine;

// Current() is the running coroutine, or null on a thread's own stack.
[[nodiscard]] COGI_API Coroutine* Current() noexcept;

// Accessors on the control block; the block's layout is private to coroutine/. `self` must not have
// been released.
[[nodiscard]] COGI_API uint64_t
Id(const Coroutine& self) noexcept;  // unique in the process, from 1
[[nodiscard]] COGI_API const char* Name(const Coroutine& self) noexcept;  // "" if none
COGI_API void SetName(Coroutine& self,
                      const char* name) noexcept;  // `name` must outlive the coroutine
[[nodiscard]] COGI_API State StateOf(const Coroutine& self) noexcept;
[[nodiscard]] COGI_API WaitNode& WaitNodeOf(
    Coroutine& self) noexcept;  // the node inside the control block

// Whether hooked calls of this coroutine park it (Go(): yes, libco's co_create: no, until
// co_enable_hook_sys).
[[nodiscard]] COGI_API bool HooksEnabled(const Coroutine& self) noexcept;
COGI_API void EnableHooks(Coroutine& self, bool enabled) noexcept;

// One SwitchHook per coroutine; null takes it away. Set for the running coroutine, Enter() is
// called at once; taken away from it, Leave() is.
COGI_API void SetSwitchHook(Coroutine& self, SwitchHook* hook) noexcept;
[[nodiscard]] COGI_API SwitchHook* SwitchHookOf(const Coroutine& self) noexcept;

// One pointer that hooks/ keeps with each coroutine (the state of the program it runs). Null at
// first.
COGI_API void SetProgramSlot(Coroutine& self, void* state) noexcept;
[[nodiscard]] COGI_API void* ProgramSlot(const Coroutine& self) noexcept;

// Pin: while a coroutine holds at least one, its run stack is not given to another, so addresses of
// its locals stay valid for threads and the kernel. The pool of shared stacks grows by one for it.
// Pins nest. No effect on a private stack. Pin() the running coroutine only; Unpin() from anywhere
// on its thread. Fails by std::bad_alloc if no further run stack can be had.
COGI_API void Pin(Coroutine& self);
COGI_API void Unpin(Coroutine& self) noexcept;

// PinScope pins the running coroutine for a block. Outside a coroutine it does nothing.
class PinScope {
 public:
  PinScope() : self_(Current()) {
    if (self_ != nullptr) Pin(*self_);
  }
  ~PinScope() {
    if (self_ != nullptr) Unpin(*self_);
  }
  PinScope(const PinScope&) = delete;
  PinScope& operator=(const PinScope&) = delete;

 private:
  Coroutine* self_;
};

// OnStack() tells whether `address` lies in the run stack that the calling coroutine is using (so
// that a buffer there must be bounced or pinned before the kernel or a thread may keep it). False
// outside a coroutine.
[[nodiscard]] COGI_API bool OnSharedStack(const void* address) noexcept;

// Cancel() marks the coroutine as cancelled and, if it is parked, wakes it with kCancelled. Every
// later Park() of it returns kCancelled at once until the mark is cleared. Never yields.
COGI_API void Cancel(Coroutine& self) noexcept;
[[nodiscard]] COGI_API bool Cancelled(const Coroutine& self) noexcept;
COGI_API void ClearCancel(Coroutine& self) noexcept;
// CancelEndsWaits() is true if `self` is cancelled and not shielded: its next Park() would return
// kCancelled at once.
[[nodiscard]] COGI_API bool CancelEndsWaits(const Coroutine& self) noexcept;

// ShieldScope: for a block, waits of the running coroutine are not ended by Cancel(); the mark
// stays and counts after the block. For waits that must come to their end (taking a lock again).
// Nests. Outside a coroutine it does nothing.
class COGI_API ShieldScope {
 public:
  ShieldScope() noexcept;
  ~ShieldScope();
  ShieldScope(const ShieldScope&) = delete;
  ShieldScope& operator=(const ShieldScope&) = delete;

 private:
  Coroutine* self_;  // null: already shielded, or outside
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_COROUTINE_H_
