// One attempt to move bytes without waiting, by kind of descriptor, and the loop of a blocking
// write. For the hooks' own files.
//
// A hidden O_NONBLOCK lets the real calls answer EAGAIN. Descriptions that may be shared with
// another process keep their flags: sockets are asked with MSG_DONTWAIT, pipes and the rest with
// RWF_NOWAIT or, where the kernel refuses that (pipes before Linux 6.4, terminals), after poll(2)
// has said that they are ready.
#ifndef COGI_HOOKS_TRANSFER_H_
#define COGI_HOOKS_TRANSFER_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include "hooks/blocking.h"

namespace cogi::hooks {

// TotalSize() is the number of bytes in `pieces`; it saturates.
[[nodiscard]] size_t TotalSize(const iovec* pieces, size_t count) noexcept;

// Each of these is one system call (two at most for shared descriptions that are no sockets) and
// returns what read(2) or write(2) would on a non-blocking descriptor.
ssize_t ReadOnce(int fd, Description& description, void* buffer, size_t size);
ssize_t ReadvOnce(int fd, Description& description, const iovec* pieces, int count);
ssize_t WriteOnce(int fd, Description& description, const void* buffer, size_t size);
// WritevOnce() skips the first `done` bytes; what is left of a piece that was written in part goes
// alone.
ssize_t WritevOnce(int fd, Description& description, const iovec* pieces, int count, size_t done);

// A position in an array of pieces.
struct PiecePosition {
  size_t index;
  size_t offset;  // within that piece
};
[[nodiscard]] PiecePosition Locate(const iovec* pieces, size_t count, size_t done) noexcept;

// A unix datagram socket that is not connected reports no event when its receiver has room again:
// it is asked every so often.
inline constexpr int64_t kFullReceiverRetryUs = 5'000;

[[nodiscard]] inline int64_t SendStep(const Description& description) {
  const bool silent = description.unix_socket() && description.kind() == FdKind::kMessage;
  return silent ? kFullReceiverRetryUs : 0;
}

// NoteRead() tells the event loop of a read that emptied the descriptor, so that the next one parks
// at once.
inline void NoteRead(int fd, const Description& description, ssize_t got, size_t asked) {
  const bool stream = description.kind() == FdKind::kStream || description.kind() == FdKind::kPipe;
  if (got > 0 && static_cast<size_t>(got) < asked && stream) coroutine::MarkShortRead(fd);
}

// TransferAll() is the loop of a blocking write (and of MSG_WAITALL): `attempt(done)` moves what
// comes after `done` bytes, until `total` are moved. After a first success an error, a timeout or
// the end gives the number moved, as in the kernel. May yield.
template <class Attempt>
[[gnu::always_inline]] inline ssize_t TransferAll(FdWait& wait, const Description& description,
                                                  size_t total, Attempt attempt) {
  size_t done = 0;
  bool skip = wait.KnownDrained();
  for (;;) {
    if (!skip) {
      const ssize_t moved = attempt(done);
      if (moved >= 0) {
        done += static_cast<size_t>(moved);
        if (done < total && moved > 0 && description.kind() != FdKind::kMessage) continue;
        wait.Charge();
        return static_cast<ssize_t>(done);
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return done > 0 ? static_cast<ssize_t>(done) : -1;
      wait.Drained();
    }
    skip = false;
    if (!wait.Park(SendStep(description))) return done > 0 ? static_cast<ssize_t>(done) : -1;
  }
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_TRANSFER_H_
