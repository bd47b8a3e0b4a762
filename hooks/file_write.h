// Writes to regular files that do not stall the loop. A file system that knows RWF_NOWAIT for
// writes takes at once what it can; what it cannot, and everything that is written to one that does
// not know it (ext4), is written by a helper thread from a copy: even a write into the page cache
// may wait, for the journal or for other pages to reach the disk. File systems that are memory
// (tmpfs, /proc) are written to as ever.
#ifndef COGI_HOOKS_FILE_WRITE_H_
#define COGI_HOOKS_FILE_WRITE_H_

#include <sys/types.h>
#include <sys/uio.h>

#include "hooks/fd_table.h"

namespace cogi::hooks {

// WriteFile() is pwritev(2), or writev(2) if `offset` is -1, to a regular file inside a coroutine.
// A helper writes up to 1 MiB in one call; between those of a larger write other writers may come,
// also to a file that is open for appending. May yield.
ssize_t WriteFile(int fd, Description& description, const iovec* pieces, int count, off_t offset);

// IsMemory() tells file systems without a disk or a server behind them. Some care which thread
// writes. `fd` is the kernel's.
[[nodiscard]] bool IsMemory(int fd);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_WRITE_H_
