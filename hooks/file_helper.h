// Calls on files that may have to wait for the disk, made by helper threads (helper_pool.h) while
// the coroutine is parked. What the helper reads or writes lies in memory of its own: the
// coroutine's stack may be another's meanwhile.
#ifndef COGI_HOOKS_FILE_HELPER_H_
#define COGI_HOOKS_FILE_HELPER_H_

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "coroutine/wait.h"
#include "hooks/calls.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

// OffloadFiles() switches the helper threads for files on or off, for the process. On at first.
// Thread-safe.
COGI_API void OffloadFiles(bool on) noexcept;
[[nodiscard]] COGI_API bool FilesAreOffloaded() noexcept;

// FilesAreSlow() is true if COGI_SLOW_FILES is set, in tests: nothing of a file or folder is taken
// to be in memory, so every hooked call that may have to wait for the disk does, and each time a
// helper takes so many microseconds longer. What relies on such a call not to yield is found so.
[[nodiscard]] inline bool FilesAreSlow() noexcept { return g_switches.slow_files != 0; }

// NewBounce() is memory for a helper, aligned as O_DIRECT wants it, or null.
[[nodiscard]] std::shared_ptr<char[]> NewBounce(size_t size) noexcept;

// WaitForHelper() is RunOnHelper(), to the end of `work`, with the time parked in the trace.
COGI_API coroutine::WakeReason WaitForHelper(uintptr_t subject, std::function<void()> work);

// OnFileHelper() makes `call`, which owns all that it touches, on a helper thread. Returns what it
// returns, with its errno; -1 with ECANCELED if the coroutine is cancelled already. A cancel that
// comes later does not end the wait, as no signal ends a process's wait for its disk: the
// descriptor could be closed and its number given to another while the helper still uses it. (Where
// the coroutine is unwound, the thread waits.)
// Without a helper or memory `call` is made here and now. So it is outside coroutines, and if
// OffloadFiles() says so. `subject` is what a dump of coroutines shows. Yields.
template <class Call>
ssize_t OnFileHelper(uintptr_t subject, Call call) {
  if (!FilesAreOffloaded() || coroutine::Current() == nullptr) return call();
  if (coroutine::CancelEndsWaits(*coroutine::Current())) {
    errno = ECANCELED;
    return -1;
  }
  struct Answer {
    ssize_t result = -1;
    int error = 0;
  };
  try {
    const ServerScope server;  // what is allocated here is not the program's
    const coroutine::ShieldScope shield;
    const auto answer = std::make_shared<Answer>();
    const coroutine::WakeReason reason = WaitForHelper(subject, [answer, call] {
      answer->result = call();
      answer->error = errno;
    });
    if (reason == coroutine::WakeReason::kReady) {
      if (answer->result < 0) errno = answer->error;
      return answer->result;
    }
    if (reason != coroutine::WakeReason::kClosed) {  // it is being unwound
      errno = ECANCELED;
      return -1;
    }
  } catch (const std::bad_alloc&) {
  }
  return call();
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_HELPER_H_
