// Offload(fn): runs `fn` on a helper thread while the coroutine waits and the others run. For work
// that is heavy on the CPU, or that blocks in a way that cannot be hooked.
//
// `fn` may use the caller's locals: the coroutine is pinned meanwhile, and neither Cancel() nor its
// destruction ends the wait before `fn` has ended. `fn` runs outside any coroutine. On a thread's
// own stack it is called directly. At most kHelperThreads run at once in a process; more wait in
// turn.
#ifndef COGI_COROUTINE_OFFLOAD_H_
#define COGI_COROUTINE_OFFLOAD_H_

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "coroutine/export.h"

namespace cogi::coroutine {

inline constexpr int kHelperThreads = 4;

// RunOnHelper() is the untyped form; `work` must not throw. Throws std::system_error if no thread
// can be had. Yields.
COGI_API void RunOnHelper(std::function<void()> work);

// Offload() returns what `fn` returns, or throws what it throws. Yields.
template <class Fn>
std::invoke_result_t<Fn&> Offload(Fn fn) {
  using T = std::invoke_result_t<Fn&>;
  std::exception_ptr exception;
  std::conditional_t<std::is_void_v<T>, char, std::optional<T>> value{};
  RunOnHelper([&] {
    try {
      if constexpr (std::is_void_v<T>)
        fn();
      else
        value.emplace(fn());
    } catch (...) {
      exception = std::current_exception();
    }
  });
  if (exception != nullptr) std::rethrow_exception(exception);
  if constexpr (!std::is_void_v<T>) return std::move(*value);
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_OFFLOAD_H_
