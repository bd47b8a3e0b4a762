// Looking at coroutines from outside: what each waits for, since when, and where. Of the calling
// thread's scheduler only; never yields.
#ifndef COGI_COROUTINE_INSPECT_H_
#define COGI_COROUTINE_INSPECT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

struct Inspection {
  uint64_t id;
  const char* name;
  State state;
  StackMode stack_mode;
  size_t stack_size;   // bytes; 0: it has no stack yet
  size_t saved_bytes;  // of its frames, while another uses its stack
  bool pinned;
  bool cancelled;
  WaitKind waits_for;                 // kNone unless parked
  uintptr_t subject;                  // see WaitKind
  std::chrono::milliseconds waiting;  // modulo 49 days
};

[[nodiscard]] COGI_API Inspection Inspect(const Coroutine& self) noexcept;

// Backtrace() is where a suspended coroutine stands: return addresses, innermost first, at most 64.
// Its saved frames are put back on its stack for it. Empty for one that runs, has not run, or whose
// stack is pinned by another.
[[nodiscard]] COGI_API std::vector<void*> Backtrace(Coroutine& self);

// Describe() is one line on `self`, and a line per frame of its backtrace, with symbols as far as
// they are known. DescribeAll() does so for all.
[[nodiscard]] COGI_API std::string Describe(Coroutine& self);
[[nodiscard]] COGI_API std::string DescribeAll();

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_INSPECT_H_
