#include "hooks/file_read.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "hooks/blocking.h"
#include "hooks/file_helper.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

constexpr size_t kColdPiece = 256 << 10;  // bytes that a helper reads at a time

// Reads what the page cache has. -1 with EAGAIN if it has nothing of it.
ssize_t ReadNow(int fd, const iovec* pieces, int count, off_t offset) {
  if (!FilesAreSlow()) [[likely]]
    return real::preadv2(fd, pieces, count, offset, RWF_NOWAIT);
  errno = EAGAIN;
  return -1;
}

ssize_t ReadReal(int fd, const iovec* pieces, int count, off_t offset) {
  return offset == -1 ? real::readv(fd, pieces, count) : real::preadv(fd, pieces, count, offset);
}

ssize_t ReadCold(int fd, const iovec& piece, off_t offset) {
  const size_t size = std::min(piece.iov_len, kColdPiece);
  const std::shared_ptr<char[]> data = NewBounce(size);
  if (data == nullptr) return ReadReal(fd, &piece, 1, offset);
  const ssize_t got = OnFileHelper(static_cast<uintptr_t>(fd), [fd, data, size, offset] {
    return offset == -1 ? real::read(fd, data.get(), size)
                        : real::pread(fd, data.get(), size, offset);
  });
  if (got > 0) memcpy(piece.iov_base, data.get(), static_cast<size_t>(got));
  return got;
}

// Asks for the rest after `done` bytes: from the page cache, or, if it is not there, by a helper.
ssize_t ReadPart(int fd, const iovec* pieces, size_t count, size_t done, off_t offset) {
  const off_t at = offset == -1 ? -1 : offset + static_cast<off_t>(done);
  const PiecePosition from = Locate(pieces, count, done);
  const iovec& piece = pieces[from.index];
  const iovec rest{static_cast<char*>(piece.iov_base) + from.offset, piece.iov_len - from.offset};
  const ssize_t got =
      done == 0 ? ReadNow(fd, pieces, static_cast<int>(count), at) : ReadNow(fd, &rest, 1, at);
  if (got >= 0 || errno != EAGAIN) return got;
  return ReadCold(fd, rest, at);
}

// Unless the page cache has the byte, or the file system cannot tell.
bool IsCold(int fd, off_t at) {
  char byte;
  const iovec one{&byte, 1};
  return ReadNow(fd, &one, 1, at) < 0 && errno == EAGAIN;
}

}  // namespace

ssize_t ReadFile(int fd, Description& description, const iovec* pieces, int count, off_t offset) {
  const bool sensible = pieces != nullptr && count > 0 && count <= IOV_MAX && offset >= -1;
  if (!sensible || description.refuses_nowait() || !FilesAreOffloaded())
    return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  const size_t total = std::min(TotalSize(pieces, static_cast<size_t>(count)), kMaxTransfer);
  if (total == 0) return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  size_t done = 0;
  while (done < total) {
    const ssize_t got = ReadPart(fd, pieces, static_cast<size_t>(count), done, offset);
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<size_t>(got);
      continue;
    }
    if (done > 0) break;
    if (errno == ECANCELED) return -1;
    // Not a file that knows RWF_NOWAIT, or an error: the real call has the last word.
    if (errno == EOPNOTSUPP) description.set_refuses_nowait();
    return Direct([&] { return ReadReal(fd, pieces, count, offset); });
  }
  coroutine::ChargeCall();
  return static_cast<ssize_t>(done);
}

ssize_t ReadAt(int fd, void* data, size_t size, off_t offset) {
  const iovec piece{data, size};
  if (!FilesAreOffloaded() || size == 0) return real::pread(fd, data, size, offset);
  const ssize_t got = ReadNow(fd, &piece, 1, offset);
  if (got >= 0) return got;
  if (errno == EOPNOTSUPP) return real::pread(fd, data, size, offset);
  return errno == EAGAIN ? ReadCold(fd, piece, offset) : -1;
}

ssize_t BringIntoMemory(int fd, off_t offset, size_t size) {
  if (size == 0 || offset < 0 || !FilesAreOffloaded()) return static_cast<ssize_t>(size);
  const size_t piece = std::min(size, kColdPiece);
  const off_t last = offset + static_cast<off_t>(piece) - 1;
  // The ends tell of what lies between: files come into memory, and leave it, by longer stretches.
  constexpr off_t kPage = 4096;
  const bool one_page = offset / kPage == last / kPage;
  if (!IsCold(fd, offset) && (one_page || !IsCold(fd, last))) return static_cast<ssize_t>(piece);
  const std::shared_ptr<char[]> data = NewBounce(piece);
  if (data == nullptr) return static_cast<ssize_t>(piece);
  const ssize_t done =
      OnFileHelper(static_cast<uintptr_t>(fd), [fd, data, piece, offset]() -> ssize_t {
        static_cast<void>(real::pread(fd, data.get(), piece, offset));
        return 0;
      });
  return done < 0 ? -1 : static_cast<ssize_t>(piece);
}

}  // namespace cogi::hooks
