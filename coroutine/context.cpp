#include "coroutine/context.h"

#include <cxxabi.h>

#include <cerrno>

#include "coroutine/sanitizers.h"

namespace cogi::coroutine {
namespace {

constexpr uint32_t kMxcsrControl = 0xffc0;  // the rest are status flags, which no call preserves

uint32_t ReadMxcsr() noexcept {
  uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  return mxcsr;
}
void WriteMxcsr(uint32_t mxcsr) noexcept { asm volatile("ldmxcsr %0" : : "m"(mxcsr)); }

uint16_t ReadX87() noexcept {
  uint16_t control;
  asm volatile("fnstcw %0" : "=m"(control));
  return control;
}
void WriteX87(uint16_t control) noexcept { asm volatile("fldcw %0" : : "m"(control)); }

}  // namespace

COGI_UNINSTRUMENTED void* MakeContext(void* top, void (*entry)(void*), void* argument) noexcept {
  // Two zero words at the top end chains of frame pointers.
  auto* words = static_cast<uint64_t*>(top);
  words[-1] = 0;
  words[-2] = 0;
  auto* frame = reinterpret_cast<SwitchFrame*>(words - 2) - 1;
  *frame = SwitchFrame{};
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

void Learn(ThreadWords& words) noexcept {
  words.errno_address = &errno;
  words.exception_globals = reinterpret_cast<uint64_t*>(abi::__cxa_get_globals());
  words.mxcsr = ReadMxcsr() & kMxcsrControl;
  words.x87_control = ReadX87();
}

bool Neutral(const ThreadWords& words) noexcept {
  return words.exception_globals[0] == 0 &&
         static_cast<uint32_t>(words.exception_globals[1]) == 0 &&
         (ReadMxcsr() & kMxcsrControl) == words.mxcsr &&
         ReadX87() == (words.x87_control & ~kLookClosely);
}

bool LookAtOwnStack(ThreadWords& words) noexcept {
  const bool neutral = Neutral(words);
  words.x87_control &= ~kLookClosely;
  if (!neutral) words.x87_control |= kLookClosely;
  return neutral;
}

KeptWords::KeptWords(const ThreadWords& words) noexcept
    : words_(words),
      exceptions_{words.exception_globals[0], words.exception_globals[1]},
      mxcsr_(ReadMxcsr()),
      x87_control_(ReadX87()) {
  words.exception_globals[0] = 0;
  words.exception_globals[1] = 0;
  WriteMxcsr((mxcsr_ & ~kMxcsrControl) | words.mxcsr);
  WriteX87(static_cast<uint16_t>(words.x87_control));
}

KeptWords::~KeptWords() {
  words_.exception_globals[0] = exceptions_[0];
  words_.exception_globals[1] = exceptions_[1];
  WriteMxcsr(mxcsr_);
  WriteX87(x87_control_);
}

}  // namespace cogi::coroutine
