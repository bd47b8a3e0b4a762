// Forced unwinding of a suspended coroutine that is destroyed: its destructors run, as
// pthread_cancel does it. Itanium C++ ABI, Exception Handling, 1.6 (forced unwind) and the layout
// of the language-specific data area that g++ and clang++ emit.
#include <unwind.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {
namespace {

// How often a body may swallow the unwinding in a catch (...) and go on before it is abandoned.
constexpr uint32_t kPatience = 16;

uint64_t ReadUleb(const uint8_t*& at) noexcept {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const uint8_t byte = *at++;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
}

// ReadFixed() reads a call-site field of one of the encodings that compilers use for it. Returns
// false for another.
bool ReadField(uint8_t encoding, const uint8_t*& at, uint64_t& value) noexcept {
  constexpr uint8_t kUleb = 0x01, kData4 = 0x03, kData8 = 0x04;
  switch (encoding & 0x0f) {
    case kUleb:
      value = ReadUleb(at);
      return true;
    case kData4: {
      uint32_t four;
      std::memcpy(&four, at, 4);
      at += 4;
      value = four;
      return true;
    }
    case kData8:
      std::memcpy(&value, at, 8);
      at += 8;
      return true;
    default:
      return false;
  }
}

// LetsNothingThrough() tells whether the frame is that of a noexcept function: one with a table of
// call sites in which the place of the call does not occur. Unwinding it would end the process.
bool LetsNothingThrough(_Unwind_Context* context) noexcept {
  const auto* at = static_cast<const uint8_t*>(_Unwind_GetLanguageSpecificData(context));
  if (at == nullptr) return false;
  int before = 0;
  const uintptr_t ip = _Unwind_GetIPInfo(context, &before) - (before == 0 ? 1 : 0);
  const uint64_t offset = ip - _Unwind_GetRegionStart(context);
  constexpr uint8_t kOmitted = 0xff;
  if (*at++ != kOmitted) return false;  // landing pads relative to elsewhere: not emitted here
  if (*at++ != kOmitted) ReadUleb(at);  // the types follow the call sites
  const uint8_t encoding = *at++;
  const uint64_t length = ReadUleb(at);
  const uint8_t* end = at + length;
  while (at < end) {
    uint64_t start = 0, size = 0, pad = 0;
    if (!ReadField(encoding, at, start) || !ReadField(encoding, at, size) ||
        !ReadField(encoding, at, pad))
      return false;
    ReadUleb(at);
    if (offset >= start && offset < start + size) return false;
  }
  return true;
}

void Abandoned(_Unwind_Exception* exception) noexcept {
  std::free(exception);
  Finish(*thread_context.current);
}

_Unwind_Reason_Code Stop(int, _Unwind_Action actions, _Unwind_Exception_Class,
                         _Unwind_Exception* exception, _Unwind_Context* context, void*) {
  if ((actions & _UA_END_OF_STACK) != 0 || LetsNothingThrough(context)) Abandoned(exception);
  return _URC_NO_REASON;
}

// Called when a catch block that has not thrown it on ends: the entry's, or one of the body's.
void Caught(_Unwind_Reason_Code, _Unwind_Exception* exception) {
  Coroutine& co = *thread_context.current;
  if (co.Has(kUnwound)) {
    std::free(exception);
    return;
  }
  if (++co.since > kPatience) Abandoned(exception);
  std::free(exception);
  co.Set(kSwallowed);
}

}  // namespace

void ForceUnwind() {
  Coroutine& co = *thread_context.current;
#if COGI_ASAN
  if (!co.Has(kSwallowed)) __sanitizer_finish_switch_fiber(co.fake_stack, nullptr, nullptr);
  __asan_handle_no_return();
#endif
  co.Clear(kSwallowed);
  auto* exception = static_cast<_Unwind_Exception*>(std::calloc(1, sizeof(_Unwind_Exception)));
  COGI_CHECK(exception != nullptr, "out of memory while a coroutine was unwound");
  std::memcpy(&exception->exception_class, "COGIUNWD", sizeof exception->exception_class);
  exception->exception_cleanup = &Caught;
  _Unwind_ForcedUnwind(exception, &Stop, nullptr);
  Abandoned(exception);  // the stack cannot be unwound
  __builtin_unreachable();
}

}  // namespace cogi::coroutine
