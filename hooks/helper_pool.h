// A few threads that make blocking calls for coroutines, where the kernel offers no way to wait in
// the event loop: the name services of nsswitch.conf, files that are not in memory. They never run
// a program's code. Threads are started when they are needed, at most kMaxHelpers, and end after a
// while without work.
//
// Thread-safe; any thread's coroutines share the pool.
#ifndef COGI_HOOKS_HELPER_POOL_H_
#define COGI_HOOKS_HELPER_POOL_H_

#include <functional>

#include "coroutine/deadline.h"
#include "coroutine/export.h"
#include "coroutine/wait.h"

namespace cogi::hooks {

inline constexpr int kMaxHelpers = 16;

// RunOnHelper() runs `work` on a helper thread and suspends the calling coroutine until it has
// ended. kReady: it has. kTimeout, kCancelled: it has not, and goes on by itself; so `work` must
// own, by value or by shared_ptr, all that it touches, and may not touch the caller's stack.
// kClosed: no thread could be started or no memory had, `work` has not run and will not. `work`
// must not throw. `kind` and `subject` are what a dump of coroutines shows. With `to_the_end` the
// call does not return, nor is the coroutine unwound, before `work` has ended: then that may use
// descriptors of the caller's. Yields.
COGI_API coroutine::WakeReason RunOnHelper(coroutine::WaitKind kind, uintptr_t subject,
                                           std::function<void()> work,
                                           coroutine::Deadline deadline = coroutine::kNoDeadline,
                                           bool to_the_end = false);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_HELPER_POOL_H_
