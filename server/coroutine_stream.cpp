#include "server/coroutine_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/file_read.h"
#include "server/real_calls.h"

namespace cogi::server {
namespace {

// One sendfile() call may copy this much before the others get their turn.
constexpr size_t kSendFilePiece = 1 << 20;
// A message of no more bytes is copied together: the kernel takes longer over its pieces than we
// do.
constexpr size_t kGathered = 2048;
// A client that connected just before the server stops may take this long to send its request.
constexpr std::chrono::milliseconds kFirstWords{500};

int ErrnoOf(coroutine::WakeReason reason) {
  switch (reason) {
    case coroutine::WakeReason::kTimeout:
      return ETIMEDOUT;
    case coroutine::WakeReason::kCancelled:
      return ECANCELED;
    case coroutine::WakeReason::kClosed:
      return EBADF;
    case coroutine::WakeReason::kNoMemory:
      return ENOMEM;
    default:
      break;
  }
  return 0;
}

// Takes `written` bytes off the front of the pieces.
void Advance(iovec*& pieces, int& count, size_t written) {
  while (count > 0 && written >= pieces->iov_len) {
    written -= pieces->iov_len;
    ++pieces;
    --count;
  }
  if (written > 0) {
    pieces->iov_base = static_cast<char*>(pieces->iov_base) + written;
    pieces->iov_len -= written;
  }
}

// Not inlined: its buffer shall not lie in the frames of one that waits.
[[gnu::noinline]] ssize_t SendOnce(int fd, iovec* pieces, int count, int flags) {
  if (count == 1) return Real().send(fd, pieces->iov_base, pieces->iov_len, flags);
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += pieces[i].iov_len;
  if (size <= kGathered) {
    char gathered[kGathered];
    char* end = gathered;
    for (int i = 0; i < count; ++i)
      end = std::copy_n(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len, end);
    return Real().send(fd, gathered, size, flags);
  }
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = static_cast<size_t>(count);
  return Real().sendmsg(fd, &message, flags);
}

}  // namespace

bool CoroutineStream::Wait(uint32_t events, cgi::Deadline deadline) {
  const coroutine::WakeReason reason = coroutine::WaitFd(fd_, events, deadline);
  if (reason == coroutine::WakeReason::kReady) return true;
  errno = ErrnoOf(reason);
  return false;
}

bool CoroutineStream::WaitWritable() {
  const cgi::Deadline deadline =
      write_timeout_.count() > 0 ? coroutine::After(write_timeout_) : coroutine::kNoDeadline;
  if (Wait(EPOLLOUT, deadline)) return true;
  // The kernel would go on offering what it holds, megabytes of it, to a client that does not take
  // it: closing is to forget it.
  if (const int error = errno; error == ETIMEDOUT || error == ECANCELED) {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    errno = error;
  }
  return false;
}

// A layer that is fed with what says nothing (key updates without end) comes here again and again
// without having to wait: a wait that ends at once does not look at the time.
bool CoroutineStream::MayReadOn() const {
  if (coroutine::Clock::now() < read_deadline_) return true;
  errno = ETIMEDOUT;
  return false;
}

bool CoroutineStream::LetOthersRun() {
  if (!MayReadOn()) return false;
  coroutine::Yield();
  return true;
}

bool CoroutineStream::AwaitReadable() {
  if (!MayReadOn()) return false;
  coroutine::MarkDrained(fd_, EPOLLIN);
  return Wait(EPOLLIN | EPOLLRDHUP, read_deadline_);
}

bool CoroutineStream::AwaitWritable() {
  coroutine::MarkDrained(fd_, EPOLLOUT);
  return WaitWritable();
}

ssize_t CoroutineStream::Read(void* buffer, size_t size) {
  bool waited = false;
  for (;;) {
    if (!coroutine::KnownDrained(fd_, EPOLLIN)) {
      const ssize_t got = Real().recv(fd_, buffer, size, 0);
      if (got >= 0) {
        // A short read means that nothing is left: the next wait need not ask the kernel first.
        if (got > 0 && static_cast<size_t>(got) < size) coroutine::MarkShortRead(fd_);
        bytes_read_ += static_cast<uint64_t>(got);
        if (!waited) coroutine::ChargeCall();
        return got;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return -1;
      coroutine::MarkDrained(fd_, EPOLLIN);
    }
    if (!Wait(EPOLLIN | EPOLLRDHUP, read_deadline_)) return -1;
    waited = true;
  }
}

bool CoroutineStream::Write(iovec* pieces, int count) { return Send(pieces, count, 0); }

bool CoroutineStream::WriteMore(iovec* pieces, int count) { return Send(pieces, count, MSG_MORE); }

bool CoroutineStream::Send(iovec* pieces, int count, int flags) {
  Advance(pieces, count, 0);
  bool waited = false;
  while (count > 0) {
    const ssize_t written = SendOnce(fd_, pieces, count, flags | MSG_NOSIGNAL);
    if (written >= 0) {
      bytes_written_ += static_cast<uint64_t>(written);
      Advance(pieces, count, static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    coroutine::MarkDrained(fd_, EPOLLOUT);
    if (!WaitWritable()) return false;
    waited = true;
  }
  if (!waited) coroutine::ChargeCall();
  return true;
}

bool CoroutineStream::SendFile(int fd, off_t offset, size_t size) {
  while (size > 0) {
    const ssize_t piece = hooks::BringIntoMemory(fd, offset, std::min(size, kSendFilePiece));
    if (piece < 0) return false;
    const ssize_t sent = Real().sendfile(fd_, fd, &offset, static_cast<size_t>(piece));
    if (sent > 0) {
      bytes_written_ += static_cast<uint64_t>(sent);
      size -= static_cast<size_t>(sent);
      coroutine::ChargeCall();
      continue;
    }
    if (sent == 0) {
      errno = EIO;  // the file became shorter than was announced
      return false;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    coroutine::MarkDrained(fd_, EPOLLOUT);
    if (!WaitWritable()) return false;
  }
  return true;
}

bool CoroutineStream::InputIsThere() const {
  char byte;
  return Real().recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool CoroutineStream::AwaitInput() {
  if (at_rest_ == AtRest::kWait) {
    idle_ = true;
    const bool ready = Wait(EPOLLIN | EPOLLRDHUP, read_deadline_);
    idle_ = false;
    if (at_rest_ == AtRest::kWait) return ready;
    // The cancel was only meant to end the rest, and may have come when it had ended.
    if (coroutine::Coroutine* self = coroutine::Current()) coroutine::ClearCancel(*self);
  }
  if (at_rest_ == AtRest::kLeave) {
    left_ = true;
    errno = ECANCELED;
    return false;
  }
  // A request that is in the socket already is answered.
  if (InputIsThere()) return true;
  if (bytes_read_ == 0)
    return Wait(EPOLLIN | EPOLLRDHUP, std::min(read_deadline_, coroutine::After(kFirstWords)));
  errno = ECANCELED;
  return false;
}

void CoroutineStream::ShutdownWrite() { Real().shutdown(fd_, SHUT_WR); }

}  // namespace cogi::server
