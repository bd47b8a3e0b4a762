#include "hooks/file_write.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "hooks/blocking.h"
#include "hooks/file_helper.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

constexpr size_t kPiece = 1 << 20;  // bytes that a helper writes at a time
constinit real::RealCall<int(int, struct statfs*)> real_fstatfs{"fstatfs"};

ssize_t WriteReal(int fd, const iovec* pieces, int count, off_t offset) {
  return offset == -1 ? real::writev(fd, pieces, count) : real::pwritev(fd, pieces, count, offset);
}

// Copies up to `size` bytes of what comes after `done`.
void Gather(char* to, const iovec* pieces, size_t count, size_t done, size_t size) {
  for (PiecePosition from = Locate(pieces, count, done); size > 0; from = {from.index + 1, 0}) {
    const iovec& piece = pieces[from.index];
    const size_t part = std::min(piece.iov_len - from.offset, size);
    memcpy(to, static_cast<const char*>(piece.iov_base) + from.offset, part);
    to += part;
    size -= part;
  }
}

// Writes what comes after `done` of `total` bytes on a helper thread. As write(2).
ssize_t WriteByHelper(int fd, const iovec* pieces, size_t count, size_t done, size_t total,
                      off_t offset) {
  const size_t size = std::min(total - done, kPiece);
  const std::shared_ptr<char[]> data = NewBounce(size);
  if (data == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  Gather(data.get(), pieces, count, done, size);
  const off_t at = offset == -1 ? -1 : offset + static_cast<off_t>(done);
  return OnFileHelper(static_cast<uintptr_t>(fd), [fd, data, size, at] {
    return at == -1 ? real::write(fd, data.get(), size) : real::pwrite(fd, data.get(), size, at);
  });
}

// What the file system takes without waiting of what comes after `done` bytes; -1 with EAGAIN if
// nothing, with EOPNOTSUPP if it cannot tell.
ssize_t WriteNow(int fd, const iovec* pieces, size_t count, size_t done, off_t offset) {
  const off_t at = offset == -1 ? -1 : offset + static_cast<off_t>(done);
  if (done == 0) return real::pwritev2(fd, pieces, static_cast<int>(count), at, RWF_NOWAIT);
  const PiecePosition from = Locate(pieces, count, done);
  const iovec& piece = pieces[from.index];
  const iovec rest{static_cast<char*>(piece.iov_base) + from.offset, piece.iov_len - from.offset};
  return real::pwritev2(fd, &rest, 1, at, RWF_NOWAIT);
}

}  // namespace

bool IsMemory(int fd) {
  struct statfs status;
  if (real_fstatfs(fd, &status) != 0) return true;  // let the write say what is wrong
  switch (static_cast<unsigned long>(status.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC:
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
      return true;
    default:
      return false;
  }
}

ssize_t WriteFile(int fd, Description& description, const iovec* pieces, int count, off_t offset) {
  const auto direct = [&] { return Direct([&] { return WriteReal(fd, pieces, count, offset); }); };
  if (!FilesAreOffloaded() || pieces == nullptr || count <= 0 || count > IOV_MAX || offset < -1)
    return direct();
  if (description.write_way() == WriteWay::kUnknown)
    description.set_write_way(FilesAreSlow() ? WriteWay::kHelper
                              : IsMemory(fd) ? WriteWay::kDirect
                                             : WriteWay::kNowait);
  const auto pieces_count = static_cast<size_t>(count);
  const size_t total = std::min(TotalSize(pieces, pieces_count), kMaxTransfer);
  if (description.write_way() == WriteWay::kDirect || total == 0) return direct();
  size_t done = 0;
  while (done < total) {
    ssize_t put = -1;
    errno = EAGAIN;
    if (description.write_way() == WriteWay::kNowait) {
      put = WriteNow(fd, pieces, pieces_count, done, offset);
      if (put < 0 && errno == EOPNOTSUPP) {
        description.set_write_way(WriteWay::kHelper);
        continue;
      }
    }
    if (put < 0 && errno == EAGAIN)
      put = WriteByHelper(fd, pieces, pieces_count, done, total, offset);
    if (put < 0 && done == 0 && errno == ENOMEM) return direct();
    if (put < 0 && done == 0) return -1;
    if (put <= 0) break;
    done += static_cast<size_t>(put);
  }
  coroutine::ChargeCall();
  return static_cast<ssize_t>(done);
}

}  // namespace cogi::hooks
