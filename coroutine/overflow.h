// Stack overflow said in words. A coroutine that runs into the guard below its stack gets SIGSEGV;
// the handler, on an alternate signal stack, writes to stderr whose stack it was, how large, and a
// backtrace, and then lets the signal take its course.
#ifndef COGI_COROUTINE_OVERFLOW_H_
#define COGI_COROUTINE_OVERFLOW_H_

#include "coroutine/coroutine.h"
#include "coroutine/export.h"

namespace cogi::coroutine {

// OverflowedBy() is the coroutine that runs on this thread if `address`, where a fault happened,
// lies in the guard below its stack; else null. Async-signal-safe: for SIGSEGV handlers of others.
[[nodiscard]] COGI_API Coroutine* OverflowedBy(const void* address) noexcept;

// ReportOverflow() writes the report on `self` to `fd`. `context` is the handler's ucontext_t.
COGI_API void ReportOverflow(const Coroutine& self, const void* context, int fd) noexcept;

// ReportStackOverflows() gives the calling thread an alternate signal stack, if it has none, and
// installs the handler, unless the program (or a sanitizer) has one for SIGSEGV. Each Scheduler
// does it for its thread; the alternate stack is the thread's until it ends.
COGI_API void ReportStackOverflows() noexcept;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_OVERFLOW_H_
