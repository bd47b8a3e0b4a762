#include "coroutine/context.h"

#include <cstring>

#include "coroutine/sanitizers.h"

namespace cogi::coroutine {

COGI_UNINSTRUMENTED void* MakeContext(void* top, void (*entry)(void*), void* argument) noexcept {
  // Two zero words at the top end chains of frame pointers.
  auto* words = static_cast<uint64_t*>(top);
  words[-1] = 0;
  words[-2] = 0;
  auto* frame =
      reinterpret_cast<SwitchFrame*>(reinterpret_cast<char*>(words - 2) - sizeof(SwitchFrame));
  *frame = SwitchFrame{};
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(frame->mxcsr), "=m"(frame->x87_control));
  frame->rbx = reinterpret_cast<uint64_t>(argument);
  frame->r12 = reinterpret_cast<uint64_t>(entry);
  frame->resume_at = reinterpret_cast<uint64_t>(&cogi_context_entry);
  return frame;
}

COGI_UNINSTRUMENTED void* InjectCall(void* sp, void (*function)()) noexcept {
  // The old resume_at stays where it is and becomes the return address of `function`.
  const SwitchFrame copy = *static_cast<SwitchFrame*>(sp);
  auto* frame = reinterpret_cast<SwitchFrame*>(static_cast<char*>(sp) - sizeof copy.resume_at);
  *frame = copy;
  frame->resume_at = reinterpret_cast<uint64_t>(function);
  return frame;
}

}  // namespace cogi::coroutine
