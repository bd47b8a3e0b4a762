#include "coroutine/context.h"

#include <cxxabi.h>

#include <cerrno>

#include "coroutine/sanitizers.h"

namespace cogi::coroutine {
namespace {

#if defined(__x86_64__)

constexpr uint32_t kMxcsrControl = 0xffc0;  // the rest are status flags, which no call preserves

uint32_t ReadMxcsr() noexcept {
  uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  return mxcsr;
}

FloatingPointModes ReadModes() noexcept {
  uint16_t control;
  asm volatile("fnstcw %0" : "=m"(control));
  return {ReadMxcsr() & kMxcsrControl, control};
}

void WriteModes(const FloatingPointModes& modes) noexcept {
  const uint32_t mxcsr = (ReadMxcsr() & ~kMxcsrControl) | modes.mxcsr;
  const auto control = static_cast<uint16_t>(modes.x87_control);
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
  asm volatile("fldcw %0" : : "m"(control));
}

bool AreAsNow(FloatingPointModes modes) noexcept {
  modes.x87_control &= ~kLookClosely;
  return ReadModes() == modes;
}

void SetCall(SwitchFrame& frame, uint64_t function, uint64_t argument) noexcept {
  frame.r12 = function;
  frame.rbx = argument;
}

#elif defined(__aarch64__)

FloatingPointModes ReadModes() noexcept {
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  return {fpcr};
}

void WriteModes(const FloatingPointModes& modes) noexcept {
  asm volatile("msr fpcr, %0" : : "r"(modes.fpcr));
}

bool AreAsNow(const FloatingPointModes& modes) noexcept { return ReadModes() == modes; }

void SetCall(SwitchFrame& frame, uint64_t function, uint64_t argument) noexcept {
  frame.x20 = function;
  frame.x19 = argument;
}

#endif

}  // namespace

COGI_UNINSTRUMENTED void* MakeContext(void* top, void (*entry)(void*), void* argument) noexcept {
  // Two zero words at the top end chains of frame pointers.
  auto* words = static_cast<uint64_t*>(top);
  words[-1] = 0;
  words[-2] = 0;
  auto* frame = reinterpret_cast<SwitchFrame*>(words - 2) - 1;
  *frame = SwitchFrame{};
  SetCall(*frame, reinterpret_cast<uint64_t>(entry), reinterpret_cast<uint64_t>(argument));
  frame->resume_at = reinterpret_cast<uint64_t>(&cogi_context_entry);
  return frame;
}

#if defined(__x86_64__)
COGI_UNINSTRUMENTED void* InjectCall(void* sp, void (*function)()) noexcept {
  // The old resume_at stays where it is and becomes the return address of `function`.
  const SwitchFrame copy = *static_cast<SwitchFrame*>(sp);
  auto* frame = reinterpret_cast<SwitchFrame*>(static_cast<char*>(sp) - sizeof copy.resume_at);
  *frame = copy;
  frame->resume_at = reinterpret_cast<uint64_t>(function);
  return frame;
}
#elif defined(__aarch64__)
COGI_UNINSTRUMENTED void* InjectCall(void* sp, void (*function)()) noexcept {
  auto& frame = *static_cast<SwitchFrame*>(sp);
  frame.x30 = frame.resume_at;
  frame.resume_at = reinterpret_cast<uint64_t>(function);
  return sp;
}
#endif

void Learn(ThreadWords& words) noexcept {
  words.errno_address = &errno;
  words.exception_globals = reinterpret_cast<uint64_t*>(abi::__cxa_get_globals());
  words.modes = ReadModes();
}

bool Neutral(const ThreadWords& words) noexcept {
  return words.exception_globals[0] == 0 &&
         static_cast<uint32_t>(words.exception_globals[1]) == 0 && AreAsNow(words.modes);
}

bool LookAtOwnStack(ThreadWords& words) noexcept {
  const bool neutral = Neutral(words);
#if defined(__x86_64__)
  words.modes.x87_control &= ~kLookClosely;
  if (!neutral) words.modes.x87_control |= kLookClosely;
#endif
  return neutral;
}

KeptWords::KeptWords(const ThreadWords& words) noexcept
    : words_(words),
      exceptions_{words.exception_globals[0], words.exception_globals[1]},
      modes_(ReadModes()) {
  words.exception_globals[0] = 0;
  words.exception_globals[1] = 0;
  WriteModes(words.modes);
}

KeptWords::~KeptWords() {
  words_.exception_globals[0] = exceptions_[0];
  words_.exception_globals[1] = exceptions_[1];
  WriteModes(modes_);
}

}  // namespace cogi::coroutine
