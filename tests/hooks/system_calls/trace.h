// The system calls of a piece of work, seen from outside: it runs in a child process of its own
// under ptrace(2), which can also make one of its calls fail.
#ifndef COGI_TESTS_HOOKS_SYSTEM_CALLS_TRACE_H_
#define COGI_TESTS_HOOKS_SYSTEM_CALLS_TRACE_H_

#include <functional>
#include <string>
#include <vector>

namespace cogi::tests {

struct SystemCall {
  long number;
  long first;   // its first argument: a descriptor, mostly
  long result;  // a negative errno on failure
};

// Between BeginTrace() and EndTrace() the calls of the thread that called BeginTrace() are noted.
// For the work; they come to nothing where nobody traces. Not interposed, errno is left alone.
void BeginTrace() noexcept;
void EndTrace() noexcept;

// Each call of `number` among those noted, from the `nth` on (from 1) and `times` of them, fails
// with `error` and is not made.
struct Injection {
  long number = -1;
  int error = 0;
  int nth = 1;
  int times = 1 << 30;
};

struct Traced {
  std::vector<SystemCall> calls;
  std::string text;    // what the work returned
  bool ended = false;  // it did return, and the process was not ended by a signal
  [[nodiscard]] int Count(long number) const;
  // Names() are the numbers of the calls, for a failed expectation.
  [[nodiscard]] std::string Names() const;
};

// Trace() runs `work` in a child and returns what it did. Injections need x86-64: see CanInject().
[[nodiscard]] Traced Trace(const std::function<std::string()>& work,
                           const Injection& injection = {});
[[nodiscard]] bool CanInject();

}  // namespace cogi::tests

#endif  // COGI_TESTS_HOOKS_SYSTEM_CALLS_TRACE_H_
