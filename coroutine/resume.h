// The asymmetric core: Resume() runs a coroutine until it gives control back to whoever resumed it.
// Nests to any depth. The scheduler and libco's API stand on it; programs that want their
// coroutines scheduled need scheduler.h only.
//
// All calls belong to the thread of the coroutine, which must have a Scheduler (it owns the
// stacks).
#ifndef COGI_COROUTINE_RESUME_H_
#define COGI_COROUTINE_RESUME_H_

#include <functional>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "coroutine/scheduler.h"

namespace cogi::coroutine {

class SharedStacks;

// Create() makes a suspended coroutine that the caller owns: it must be given to Destroy() in the
// end. `stacks`: run on one of these; null: the scheduler's. Throws std::system_error (EINVAL: a
// stack size out of range; EAGAIN: the maximum number is reached; ENOMEM).
[[nodiscard]] COGI_API Coroutine* Create(std::function<void()> body,
                                         const SpawnOptions& options = {},
                                         SharedStacks* stacks = nullptr);

// Resume() runs `self`, which is new or suspended, until it yields to its resumer, parks or ends;
// see StateOf(). CHECK: it is not running, not done, of this thread.
//
// The caller finds errno, its exceptions in flight and its floating-point control words as they
// were. One case is left out, for speed: the thread's own stack changes mxcsr behind the C
// library's back (_mm_setcsr; fesetround() and its like are seen) after its scheduler was made, and
// the next thing it does with coroutines is to resume one that was suspended on a stack of its own,
// or that nobody has displaced. That coroutine may take the change over, and the caller lose it.
// (It would take a second read of mxcsr for each round trip. On Zen 4 one takes 4.3 ns, however it
// is placed; the whole round trip takes 8.2.)
COGI_API void Resume(Coroutine& self);

// YieldToResumer() suspends the running coroutine until it is resumed. CHECK: there is one.
COGI_API void YieldToResumer();

// Destroy() releases a coroutine. If it is suspended in the middle of its work, its stack is
// unwound first, so that its destructors run: like an exception that only catch (...) sees, and
// that is thrown again if it is swallowed. While that goes on, nothing suspends: Park() returns
// kCancelled. A noexcept frame stops the unwinding; what lies above it is abandoned, and so is all
// of a coroutine whose shared stack is pinned by another. Only a coroutine that is not running (nor
// waits for one that it has resumed) may be destroyed: CHECK.
COGI_API void Destroy(Coroutine* self);

// Abandon() releases a suspended coroutine without running anything of it.
COGI_API void Abandon(Coroutine* self) noexcept;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_RESUME_H_
