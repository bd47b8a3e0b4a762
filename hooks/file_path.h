// Paths that are not in memory. A call that opens a path, or looks at what it leads to, waits for
// the disk where the kernel has to read directories and inodes. Inside a coroutine a helper thread
// walks such a path first, while the coroutine is parked; then the call finds everything in the
// kernel's caches. The call itself stays on its own thread, where the working directory, the umask
// and the descriptors are the caller's.
#ifndef COGI_HOOKS_FILE_PATH_H_
#define COGI_HOOKS_FILE_PATH_H_

#include <cstdint>

#include "coroutine/export.h"

namespace cogi::hooks {

// WalkAhead() brings into memory what `path` leads to, from the kernel's descriptor `directory` or
// AT_FDCWD. `follow`: a link at its end, too. One or two system calls if it is there. Does nothing
// outside coroutines, and on kernels before 5.12. errno is left alone. May yield.
COGI_API void WalkAhead(int directory, const char* path, bool follow);

// RawOpen() is openat2(2), past the functions that open. Blocks the thread.
[[nodiscard]] int RawOpen(int directory, const char* path, int flags, uint64_t resolve) noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_PATH_H_
