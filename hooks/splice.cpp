// sendfile(), splice(), tee(), vmsplice().
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <new>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/file_read.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

constexpr size_t kCopyPiece = 64 << 10;

// Copies through memory: to a virtual file, or to a description that may be shared, for which the
// kernel's sendfile() has no flag that keeps it from waiting. `target` is the number that the
// program knows.
ssize_t CopyFile(int target, int source, off_t* offset, size_t size) {
  const std::unique_ptr<char[]> piece(new (std::nothrow) char[kCopyPiece]);
  if (piece == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  off_t at = offset != nullptr ? *offset : real::lseek(source, 0, SEEK_CUR);
  if (at < 0) return -1;
  size_t done = 0;
  ssize_t put = 0;
  while (done < size) {
    const ssize_t warm = BringIntoMemory(source, at, std::min(kCopyPiece, size - done));
    const ssize_t got =
        warm < 0 ? -1 : real::pread(source, piece.get(), static_cast<size_t>(warm), at);
    if (got <= 0) {
      put = got;
      break;
    }
    put = ::write(target, piece.get(), static_cast<size_t>(got));
    if (put <= 0) break;
    done += static_cast<size_t>(put);
    at += put;
    if (put < got) break;
  }
  const int error = errno;
  if (offset != nullptr)
    *offset = at;
  else if (done > 0)
    real::lseek(source, at, SEEK_SET);
  errno = error;
  return done > 0 || put >= 0 ? static_cast<ssize_t>(done) : -1;
}

ssize_t SendFileInside(int target, int source, off_t* offset, size_t size) {
  const Descriptor from = Resolve(source);
  if (from.file != nullptr) {
    errno = EINVAL;
    return -1;
  }
  const Descriptor to = Resolve(target);
  if (to.file != nullptr) return CopyFile(target, from.fd, offset, size);
  Description* description = FdTable::Get(to.fd);
  Description* file = FdTable::Get(from.fd);
  if (description == nullptr || description->PassesThrough() || file == nullptr ||
      file->kind() != FdKind::kFile)
    return Direct([&] { return real::sendfile(to.fd, from.fd, offset, size); });
  if (!description->hidden()) return CopyFile(target, from.fd, offset, size);
  FdWait wait(to.fd, EPOLLOUT, description->send_timeout());
  size = std::min(size, kMaxTransfer);
  return TransferAll(wait, *description, size, [&](size_t done) -> ssize_t {
    const off_t at = offset != nullptr ? *offset : real::lseek(from.fd, 0, SEEK_CUR);
    const ssize_t piece = BringIntoMemory(from.fd, at, size - done);
    if (piece < 0) return -1;
    return real::sendfile(to.fd, from.fd, offset, static_cast<size_t>(piece));
  });
}

// One side of a splice.
struct Side {
  int fd;
  Description* description;

  // It may be the side that makes the kernel wait although SPLICE_F_NONBLOCK is given: that flag is
  // for the pipe.
  [[nodiscard]] bool MayBlockThread() const {
    return !description->hidden() && !description->nonblocking() &&
           description->kind() != FdKind::kPipe && description->kind() != FdKind::kFile;
  }
};

constexpr size_t kSharedPiece =
    4096;  // what a shared target that is ready can take without waiting, mostly

template <class Attempt>
ssize_t SpliceInside(const Side& from, const Side& to, Attempt attempt) {
  for (;;) {
    const bool source_ready = !from.MayBlockThread() || ReadyNow(from.fd, POLLIN);
    const bool target_ready = !to.MayBlockThread() || ReadyNow(to.fd, POLLOUT);
    const ssize_t moved = source_ready && target_ready ? attempt() : -1;
    if (moved >= 0 || (errno != EAGAIN && errno != EINTR)) {
      coroutine::ChargeCall();
      return moved;
    }
    if (errno == EINTR) continue;
    const bool wait_for_source = !ReadyNow(from.fd, POLLIN);
    const Side& waited = wait_for_source ? from : to;
    if (waited.description->nonblocking()) {
      errno = EAGAIN;
      return -1;
    }
    FdWait wait(waited.fd, wait_for_source ? EPOLLIN : EPOLLOUT,
                wait_for_source ? waited.description->receive_timeout()
                                : waited.description->send_timeout());
    wait.Drained();
    if (!wait.Park()) return -1;
  }
}

template <class Attempt>
ssize_t BetweenKernelFds(int from, int to, unsigned flags, Attempt attempt) {
  const Descriptor source = Resolve(from), target = Resolve(to);
  if (source.file != nullptr || target.file != nullptr) {
    errno = EINVAL;
    return -1;
  }
  Description* read_side = FdTable::Get(source.fd);
  Description* write_side = FdTable::Get(target.fd);
  if (read_side == nullptr || write_side == nullptr || (flags & SPLICE_F_NONBLOCK) != 0)
    return Direct([&] { return attempt(source.fd, target.fd, SIZE_MAX, flags); });
  const Side a{source.fd, read_side}, b{target.fd, write_side};
  const size_t most = b.MayBlockThread() ? kSharedPiece : SIZE_MAX;
  return SpliceInside(
      a, b, [&] { return attempt(source.fd, target.fd, most, flags | SPLICE_F_NONBLOCK); });
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API ssize_t sendfile(int target, int source, off_t* offset, size_t size) noexcept(false) {
  if (Plain(target)) [[likely]]
    return real::sendfile(target, source, offset, size);
  if (!Hooked()) {
    const ssize_t put = real::sendfile(target, source, offset, size);
    if (put == static_cast<ssize_t>(size) || (put < 0 ? !WouldBlock(target) : !CutShort(target)))
      return put;
    const size_t done = put < 0 ? 0 : static_cast<size_t>(put);
    const ssize_t rest = SendFileInside(target, source, offset, size - done);
    return rest < 0 ? put : static_cast<ssize_t>(done) + rest;
  }
  CallRecord record(Call::sendfile, target);
  return record.Done(SendFileInside(target, source, offset, size));
}
COGI_SAME(ssize_t, sendfile64, (int, int, off64_t*, size_t) noexcept(false), sendfile);

COGI_API ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                        unsigned flags) {
  if (!Hooked()) return real::splice(from, from_offset, to, to_offset, size, flags);
  CallRecord record(Call::splice, from);
  return record.Done(
      BetweenKernelFds(from, to, flags, [&](int source, int target, size_t most, unsigned how) {
        return real::splice(source, from_offset, target, to_offset, std::min(size, most), how);
      }));
}

COGI_API ssize_t tee(int from, int to, size_t size, unsigned flags) {
  if (!Hooked()) return real::tee(from, to, size, flags);
  CallRecord record(Call::tee, from);
  return record.Done(
      BetweenKernelFds(from, to, flags, [&](int source, int target, size_t most, unsigned how) {
        return real::tee(source, target, std::min(size, most), how);
      }));
}

COGI_API ssize_t vmsplice(int fd, const iovec* pieces, size_t count, unsigned flags) {
  if (!Hooked()) return real::vmsplice(fd, pieces, count, flags);
  CallRecord record(Call::vmsplice, fd);
  const bool on_stack =
      pieces != nullptr && count > 0 && cogi::coroutine::OnSharedStack(pieces[0].iov_base);
  const Descriptor what = Resolve(fd);
  Description* description = what.file == nullptr ? FdTable::Get(what.fd) : nullptr;
  if (on_stack && (flags & SPLICE_F_NONBLOCK) == 0)
    return record.Done(::writev(fd, pieces, static_cast<int>(std::min<size_t>(count, IOV_MAX))));
  if (description == nullptr || description->nonblocking() || (flags & SPLICE_F_NONBLOCK) != 0)
    return record.Done(Direct([&] { return real::vmsplice(what.fd, pieces, count, flags); }));
  FdWait wait(what.fd, EPOLLOUT, 0);
  const ssize_t put = UntilReady(
      wait, [&] { return real::vmsplice(what.fd, pieces, count, flags | SPLICE_F_NONBLOCK); });
  if (put >= 0) wait.Charge();
  return record.Done(put);
}

}  // extern "C"
