// The real libc functions behind the hooks: what would have been called if this library were not
// there. For the hooks, for coroutine-aware code of the server, and for nobody's program.
// Thread-safe. They block the thread: never park.
//
//   cogi::hooks::real::read(fd, buffer, size);
//
// Each is looked up by dlsym(RTLD_NEXT) at load, or at its first call if that comes earlier
// (constructors of other libraries run before ours). Under AddressSanitizer the order is program,
// sanitizer, this library, libc.
#ifndef COGI_HOOKS_REAL_H_
#define COGI_HOOKS_REAL_H_

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>

#include <atomic>
#include <cstddef>

#include "coroutine/export.h"

namespace cogi::hooks::real {

// LookUp() finds the next definition of `name` after this library. Ends the process with a message
// if there is none: a call that libc must have.
[[nodiscard]] COGI_API void* LookUp(const char* name);

template <class Signature>
class RealCall;

// `Nothrow`: libc declares it so, and a hook that is declared so itself can end in a jump to it.
template <class Result, class... Arguments, bool Nothrow>
class RealCall<Result(Arguments...) noexcept(Nothrow)> {
 public:
  using Function = Result(Arguments...) noexcept(Nothrow);

  constexpr explicit RealCall(const char* name) : name_(name) {}
  RealCall(const RealCall&) = delete;
  RealCall& operator=(const RealCall&) = delete;

  Result operator()(Arguments... arguments) noexcept(Nothrow) {
    Function* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) [[unlikely]]
      function = Resolve();
    return function(arguments...);
  }

  Function* Resolve() {
    auto* function = reinterpret_cast<Function*>(LookUp(name_));
    function_.store(function, std::memory_order_relaxed);
    return function;
  }

 private:
  std::atomic<Function*> function_{nullptr};
  const char* name_;
};

#define COGI_CALL(name, signature, family, rule) COGI_API extern RealCall<signature> name;
#include "hooks/calls.def"

}  // namespace cogi::hooks::real

#endif  // COGI_HOOKS_REAL_H_
