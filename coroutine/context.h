// The context switch: context_x86_64.S. Callee-saved registers, mxcsr and the x87 control word are
// kept on the stack that is left, and with them errno and the two words of __cxa_get_globals(),
// whose addresses come from the thread's cache (a coroutine never changes threads).
//
// It leaves by a jump instead of a return: the processor's return-stack predictor would guess wrong
// after each switch. Callers end in a tail call to it where they can, so that the jump goes
// straight back to *their* caller and no return is mispredicted at all; hence two copies, one for
// each direction, so that each jump has its own history.
#ifndef COGI_COROUTINE_CONTEXT_H_
#define COGI_COROUTINE_CONTEXT_H_

#include <cstddef>
#include <cstdint>

namespace cogi::coroutine {

// ThreadWords: where this thread keeps what moves with a switch.
struct ThreadWords {
  int* errno_address;
  void* exception_globals;  // abi::__cxa_get_globals(): 16 bytes
};

// SwitchFrame is what a suspended context has at its saved stack pointer.
struct SwitchFrame {
  uint64_t exception_globals[2];
  uint32_t mxcsr;
  uint16_t x87_control;
  uint16_t padding;
  int32_t saved_errno;
  uint32_t padding2;
  uint64_t r15, r14, r13, r12, rbx, rbp;
  uint64_t resume_at;
};
static_assert(sizeof(SwitchFrame) == 88);

extern "C" {

// Both suspend the calling context, store its stack pointer to `*from`, and continue the one
// suspended at `to`.
void cogi_switch_resume(void** from, void* to, const ThreadWords* words);
void cogi_switch_yield(void** from, void* to, const ThreadWords* words);

// Suspends the calling context to `*from`, calls `prepare(argument)` on the stack that ends at
// `stack_top`, and continues the context whose stack pointer that returns.
void cogi_switch_by(void** from, void* stack_top, const ThreadWords* words, void* (*prepare)(void*),
                    void* argument);

// The first resume_at of a context: calls r12 with rbx as its argument. Never returns.
void cogi_context_entry();

}  // extern "C"

// MakeContext() writes the first frame of a context below `top` (16-byte aligned): it will call
// `entry(argument)`. Floating-point control words are the caller's. Returns its stack pointer.
void* MakeContext(void* top, void (*entry)(void*), void* argument) noexcept;

// InjectCall() makes the context suspended at `sp` continue in `function`, as if the code that
// suspended itself had called it. Returns the new stack pointer.
void* InjectCall(void* sp, void (*function)()) noexcept;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_CONTEXT_H_
