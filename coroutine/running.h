// What each hooked call asks of the running coroutine, without a call. For coroutine/ and hooks/
// only: it knows the control block, and links inside libcogi.so alone. Others ask coroutine.h.
// Nothing here yields.
#ifndef COGI_COROUTINE_RUNNING_H_
#define COGI_COROUTINE_RUNNING_H_

#include "coroutine/control_block.h"

namespace cogi::coroutine {

// Running() is Current(): the running coroutine, or null on a thread's own stack.
[[nodiscard]] inline Coroutine* Running() noexcept {
  Coroutine* current = thread_context.current;
  return current == &thread_context.root ? nullptr : current;
}

// RunningIsHooked() is HooksEnabled() of the running coroutine. Where none runs it is false: the
// block that stands for a thread's own stack has no flags, nor a program.
[[nodiscard]] inline bool RunningIsHooked() noexcept {
  const Coroutine* current = thread_context.current;
  return current != nullptr && current->Has(kHooks);
}

// RunningSlot() is ProgramSlot() of the running coroutine, or null.
[[nodiscard]] inline void* RunningSlot() noexcept {
  const Coroutine* current = thread_context.current;
  return current == nullptr ? nullptr : current->program_slot;
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_RUNNING_H_
