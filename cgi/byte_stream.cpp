#include "cgi/byte_stream.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace cogi::cgi {
namespace {

// A timeout for poll(2) that ends at `deadline`, rounded up so that it never ends before.
int PollTimeout(Deadline deadline) {
  if (deadline == Deadline::max()) return -1;
  auto left = deadline - std::chrono::steady_clock::now();
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<long long>(ms, 0, INT_MAX));
}

// Waits until `fd` is ready for `events`. False with ETIMEDOUT or poll's error.
bool PollUntil(int fd, short events, Deadline deadline) {
  pollfd entry{fd, events, 0};
  for (;;) {
    int ready = ::poll(&entry, 1, PollTimeout(deadline));
    if (ready > 0) return true;
    if (ready == 0) {
      errno = ETIMEDOUT;
      return false;
    }
    if (errno != EINTR) return false;
  }
}

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// Drops the first `sent` bytes of the pieces.
void Advance(iovec*& pieces, int& count, size_t sent) {
  while (count > 0 && sent >= pieces->iov_len) {
    sent -= pieces->iov_len;
    ++pieces;
    --count;
  }
  if (count > 0) {
    pieces->iov_base = static_cast<char*>(pieces->iov_base) + sent;
    pieces->iov_len -= sent;
  }
}

}  // namespace

ssize_t FdStream::Read(void* buffer, size_t size) {
  for (;;) {
    ssize_t got = ::recv(fd_, buffer, size, MSG_DONTWAIT);
    if (got >= 0) return got;
    if (errno == EINTR) continue;
    if (!WouldBlock(errno) || !PollUntil(fd_, POLLIN, read_deadline_)) return -1;
  }
}

bool FdStream::AwaitOutput() {
  Deadline deadline = write_timeout_.count() > 0 ? std::chrono::steady_clock::now() + write_timeout_
                                                 : Deadline::max();
  return PollUntil(fd_, POLLOUT, deadline);
}

bool FdStream::Send(iovec* pieces, int count, int flags) {
  Advance(pieces, count, 0);
  while (count > 0) {
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(count);
    ssize_t sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    if (sent >= 0) {
      Advance(pieces, count, static_cast<size_t>(sent));
    } else if (WouldBlock(errno)) {
      if (!AwaitOutput()) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool FdStream::WriteMore(iovec* pieces, int count) { return Send(pieces, count, MSG_MORE); }

bool FdStream::SendFile(int fd, off_t offset, size_t size) {
  while (size > 0) {
    // sendfile(2) has no MSG_DONTWAIT: on a blocking socket only a wait before each bounded piece
    // keeps the write timeout.
    if (!AwaitOutput()) return false;
    ssize_t sent = ::sendfile(fd_, fd, &offset, std::min<size_t>(size, 256 * 1024));
    if (sent > 0) {
      size -= static_cast<size_t>(sent);
    } else if (sent == 0) {
      errno = EIO;
      return false;
    } else if (!WouldBlock(errno) && errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool FdStream::AwaitInput() { return PollUntil(fd_, POLLIN, read_deadline_); }

void FdStream::ShutdownWrite() { ::shutdown(fd_, SHUT_WR); }

}  // namespace cogi::cgi
