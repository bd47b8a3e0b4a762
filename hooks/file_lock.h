// flock() and the waiting fcntl() locks inside coroutines. The kernel has no way to wait for a file
// lock in an event loop: the lock is tried, and while somebody else holds it the coroutine parks
// and tries again, after 1 ms doubling to 32 ms, and at once when a lock or a descriptor of this
// thread is let go. Unlike F_SETLKW, a deadlock between processes is not found (EDEADLK): the wait
// goes on.
#ifndef COGI_HOOKS_FILE_LOCK_H_
#define COGI_HOOKS_FILE_LOCK_H_

#include <fcntl.h>

#include "coroutine/export.h"

namespace cogi::hooks {

// SetLockWait() is fcntl(fd, command, lock) for F_SETLKW and F_OFD_SETLKW inside a coroutine. `fd`
// is the kernel's. Returns 0, or -1 with errno: that of F_SETLK, or ECANCELED. Yields while the
// lock is held by another.
COGI_API int SetLockWait(int fd, int command, struct flock* lock);

// KeepsRecordLocksItself() is true for code of a library that counts the record locks of its whole
// process, as SQLite does: it takes those of the kernel once for all its users in the process, and
// keeps these apart. Locks of one user's descriptor alone would shut the others out for ever. Only
// a shared library is meant: one that is linked into a program has data of its own in each request.
// Never yields.
[[nodiscard]] COGI_API bool KeepsRecordLocksItself(const void* code) noexcept;

// FileLocksChanged() makes those who wait on this thread try again: after a lock was released, by
// F_UNLCK or with its descriptor. Next to nothing when nobody waits. Never yields.
COGI_API void FileLocksChanged() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_LOCK_H_
