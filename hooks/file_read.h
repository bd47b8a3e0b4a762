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

// OffloadFiles() switches the helper threads for files on or off, for the process. On at first.
// Thread-safe.
COGI_API void OffloadFiles(bool on) noexcept;

// ReadFile() is preadv(2), or readv(2) if `offset` is -1, of a regular file inside a coroutine. May
// yield.
ssize_t ReadFile(int fd, Description& description, const iovec* pieces, int count, off_t offset);

// BringIntoMemory() makes a call that reads up to `size` bytes at `offset` of a regular file in the
// kernel find them in the page cache: a helper thread reads them if they are not there. Returns how
// many bytes of them one such call should move, or -1 with ECANCELED. May yield.
ssize_t BringIntoMemory(int fd, Description& description, off_t offset, size_t size);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_READ_H_
