// Reads of regular files that do not stall the loop. What the page cache has is read at once; what
// has to come from the disk is read by a helper thread, into memory of its own, while the coroutine
// is parked. File systems that cannot tell the one from the other (RWF_NOWAIT is refused) are read
// as ever.
#ifndef COGI_HOOKS_FILE_READ_H_
#define COGI_HOOKS_FILE_READ_H_

#include <sys/types.h>
#include <sys/uio.h>

#include "coroutine/export.h"
#include "hooks/fd_table.h"

namespace cogi::hooks {

// ReadFile() is preadv(2), or readv(2) if `offset` is -1, of a regular file inside a coroutine. May
// yield.
ssize_t ReadFile(int fd, Description& description, const iovec* pieces, int count, off_t offset);

// BringIntoMemory() makes a call that reads up to `size` bytes at `offset` of a regular file in the
// kernel (sendfile(2)) find them in the page cache: a helper thread reads them if they are not
// there. Returns how many bytes of them one such call should move, or -1 with ECANCELED. `fd` is
// the kernel's. May yield.
COGI_API ssize_t BringIntoMemory(int fd, off_t offset, size_t size);

// ReadAt() is pread(2) of a regular file by its kernel descriptor, for code of the server: one
// system call if the page cache has it, else by a helper thread, and then it may be less than was
// asked. May yield.
COGI_API ssize_t ReadAt(int fd, void* data, size_t size, off_t offset);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_READ_H_
