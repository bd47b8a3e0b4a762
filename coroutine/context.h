// The context switch: context_x86_64.S, context_aarch64.S. Callee-saved registers and errno are
// kept on the stack that is left. What is rarely out of the ordinary, the two words of
// __cxa_get_globals() and the floating-point modes, is looked at: a switch is only ever made while
// they are *neutral* (no exception in flight, the modes that the thread had when its scheduler was
// made), and whoever leaves with others keeps them in his own frame meanwhile (KeptWords). The
// addresses of errno and of the exception globals come from the thread's cache: a coroutine never
// changes threads.
//
// Reading mxcsr costs some x86-64 processors more than the rest of a switch (Zen 4: 15 to 30
// cycles). The fast way out of a coroutine reads it; the fast way into one, from the thread's own
// stack, looks at the x87 control word only, which the C library always changes with it. See
// kLookClosely, and resume.h for what that leaves open.
//
// A switch leaves by a jump instead of a return: the processor's return-stack predictor would guess
// wrong after each. Callers end in a tail call to it where they can, so that the jump goes straight
// back to *their* caller; Resume() and YieldToResumer() are in assembly themselves for the ordinary
// case, and each jump has its own history.
#ifndef COGI_COROUTINE_CONTEXT_H_
#define COGI_COROUTINE_CONTEXT_H_

#include <cstddef>
#include <cstdint>

namespace cogi::coroutine {

#if defined(__x86_64__)

// FloatingPointModes is the part of the floating-point state that calls preserve (no status flags).
struct FloatingPointModes {
  uint32_t mxcsr = 0;
  uint32_t x87_control = 0;  // kLookClosely may be set in it in ThreadWords
  bool operator==(const FloatingPointModes&) const = default;
};

// kLookClosely in x87_control of ThreadWords: the thread's own stack was seen with another mxcsr.
// No control word has the bit, so the fast ways are closed, and the slow ones look at everything,
// until the thread's own stack is neutral again.
constexpr uint32_t kLookClosely = 1 << 16;

// SwitchFrame is what a suspended context has at its saved stack pointer.
struct SwitchFrame {
  uint64_t saved_errno;
  uint64_t r15, r14, r13, r12, rbx, rbp;
  uint64_t resume_at;
};
static_assert(sizeof(SwitchFrame) == 64);

#elif defined(__aarch64__)

struct FloatingPointModes {
  uint64_t fpcr = 0;
  bool operator==(const FloatingPointModes&) const = default;
};

struct SwitchFrame {
  uint64_t saved_errno;
  uint64_t resume_at;
  uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30;
  uint64_t d8, d9, d10, d11, d12, d13, d14, d15;
};
static_assert(sizeof(SwitchFrame) == 176);

#else
#error "cogi has no context switch for this CPU: see context_x86_64.S for what it must do"
#endif

// ThreadWords: where this thread keeps what moves with a switch, and what is neutral there.
struct ThreadWords {
  int* errno_address = nullptr;
  uint64_t* exception_globals = nullptr;  // abi::__cxa_get_globals(): 12 bytes
  FloatingPointModes modes;
};

extern "C" {

// Suspends the calling context, stores its stack pointer to `*from`, and continues the one
// suspended at `to`.
void cogi_switch(void** from, void* to, const ThreadWords* words);

// Suspends the calling context to `*from`, calls `prepare(argument)` on the stack that ends at
// `stack_top`, and continues the context whose stack pointer that returns.
void cogi_switch_by(void** from, void* stack_top, const ThreadWords* words, void* (*prepare)(void*),
                    void* argument);

// YieldToResumer() that leaves the coroutine in `mark` (State::kParked or State::kReady).
void cogi_suspend_as(uint32_t mark);

// The first resume_at of a context: calls the function that MakeContext() has put into its frame.
// Never returns.
void cogi_context_entry();

}  // extern "C"

// MakeContext() writes the first frame of a context below `top` (16-byte aligned): it will call
// `entry(argument)`. Returns its stack pointer.
void* MakeContext(void* top, void (*entry)(void*), void* argument) noexcept;

// InjectCall() makes the context suspended at `sp` continue in `function`, as if the code that
// suspended itself had called it. Returns the new stack pointer.
void* InjectCall(void* sp, void (*function)()) noexcept;

// Learn() fills `words` in for the calling thread: what it has now is neutral.
void Learn(ThreadWords& words) noexcept;

// Neutral() tells whether a switch can be made just now.
[[nodiscard]] bool Neutral(const ThreadWords& words) noexcept;

// LookAtOwnStack() is Neutral() of the thread's own stack, which the fast way into a coroutine has
// not looked at closely; what it finds holds for the switches to come.
bool LookAtOwnStack(ThreadWords& words) noexcept;

// KeptWords makes the thread neutral for a block, and puts back at its end what was there.
class KeptWords {
 public:
  explicit KeptWords(const ThreadWords& words) noexcept;
  ~KeptWords();
  KeptWords(const KeptWords&) = delete;
  KeptWords& operator=(const KeptWords&) = delete;

 private:
  const ThreadWords& words_;
  uint64_t exceptions_[2];
  FloatingPointModes modes_;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_CONTEXT_H_
