#include "hooks/transfer.h"

#include <limits.h>

#include <algorithm>

namespace cogi::hooks {
namespace {

// True if the kernel has answered for `description` with RWF_NOWAIT; false if it cannot.
bool AnsweredNowait(ssize_t result, Description& description) {
  if (result >= 0 || errno != EOPNOTSUPP) return true;
  description.set_refuses_nowait();
  return false;
}

ssize_t ReadWithoutFlag(int fd, Description& description, const iovec* pieces, int count) {
  if (!description.refuses_nowait()) {
    const ssize_t got = real::preadv2(fd, pieces, count, -1, RWF_NOWAIT);
    if (AnsweredNowait(got, description)) return got;
  }
  if (!ReadyNow(fd, POLLIN)) return -1;
  return real::readv(fd, pieces, count);
}

ssize_t WriteWithoutFlag(int fd, Description& description, const iovec* pieces, int count) {
  if (!description.refuses_nowait()) {
    const ssize_t put = real::pwritev2(fd, pieces, count, -1, RWF_NOWAIT);
    if (AnsweredNowait(put, description)) return put;
  }
  if (!ReadyNow(fd, POLLOUT)) return -1;
  if (description.kind() != FdKind::kPipe) return real::writev(fd, pieces, count);
  // A pipe that is ready has room for PIPE_BUF bytes at least; more could wait.
  const PiecePosition first = Locate(pieces, static_cast<size_t>(count), 0);
  if (first.index == static_cast<size_t>(count)) return 0;
  const iovec& piece = pieces[first.index];
  return real::write(fd, piece.iov_base, std::min<size_t>(piece.iov_len, PIPE_BUF));
}

ssize_t WritePieces(int fd, Description& description, const iovec* pieces, size_t count) {
  if (description.hidden()) return real::writev(fd, pieces, static_cast<int>(count));
  if (!description.socket())
    return WriteWithoutFlag(fd, description, pieces, static_cast<int>(count));
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = count;
  return real::sendmsg(fd, &message, MSG_DONTWAIT);
}

}  // namespace

size_t TotalSize(const iovec* pieces, size_t count) noexcept {
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (__builtin_add_overflow(total, pieces[i].iov_len, &total)) return SIZE_MAX;
  }
  return total;
}

PiecePosition Locate(const iovec* pieces, size_t count, size_t done) noexcept {
  size_t index = 0;
  while (index < count && done >= pieces[index].iov_len) done -= pieces[index++].iov_len;
  return {index, done};
}

ssize_t ReadOnce(int fd, Description& description, void* buffer, size_t size) {
  if (description.hidden() || size == 0) return real::read(fd, buffer, size);
  if (description.socket()) return real::recv(fd, buffer, size, MSG_DONTWAIT);
  const iovec piece{buffer, size};
  return ReadWithoutFlag(fd, description, &piece, 1);
}

ssize_t ReadvOnce(int fd, Description& description, const iovec* pieces, int count) {
  if (description.hidden()) return real::readv(fd, pieces, count);
  if (!description.socket()) return ReadWithoutFlag(fd, description, pieces, count);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  return real::recvmsg(fd, &message, MSG_DONTWAIT);
}

ssize_t WriteOnce(int fd, Description& description, const void* buffer, size_t size) {
  if (description.hidden()) return real::write(fd, buffer, size);
  if (description.socket()) return real::send(fd, buffer, size, MSG_DONTWAIT);
  const iovec piece{const_cast<void*>(buffer), size};
  return WriteWithoutFlag(fd, description, &piece, 1);
}

ssize_t WritevOnce(int fd, Description& description, const iovec* pieces, int count, size_t done) {
  const auto total = static_cast<size_t>(count);
  if (done == 0) return WritePieces(fd, description, pieces, total);
  const PiecePosition from = Locate(pieces, total, done);
  if (from.index == total) return 0;
  const iovec& piece = pieces[from.index];
  if (from.offset == 0)
    return WritePieces(fd, description, pieces + from.index, total - from.index);
  return WriteOnce(fd, description, static_cast<const char*>(piece.iov_base) + from.offset,
                   piece.iov_len - from.offset);
}

}  // namespace cogi::hooks
