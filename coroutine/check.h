// CHECK: a programmer's error ends the process with a sentence that says what was done wrong and
// how to mend it. Kept in release builds. Safe on any stack: it neither allocates nor formats.
#ifndef COGI_COROUTINE_CHECK_H_
#define COGI_COROUTINE_CHECK_H_

namespace cogi::coroutine {

// CheckFailed() writes "FILE:LINE: SENTENCE" to stderr and aborts.
[[noreturn, gnu::cold]] void CheckFailed(const char* file, int line, const char* sentence) noexcept;

}  // namespace cogi::coroutine

#define COGI_CHECK(condition, sentence)                               \
  (__builtin_expect(!(condition), 0)                                  \
       ? ::cogi::coroutine::CheckFailed(__FILE__, __LINE__, sentence) \
       : static_cast<void>(0))

#endif  // COGI_COROUTINE_CHECK_H_
