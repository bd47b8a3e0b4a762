// ByteStream: the one thing that the drivers of cgi/ read from and write to. Plain blocking calls;
// run inside cogi's server they suspend the coroutine, run on a socketpair in a test they block the
// thread.
#ifndef COGI_CGI_BYTE_STREAM_H_
#define COGI_CGI_BYTE_STREAM_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>

#include "cgi/export.h"

namespace cogi::cgi {

using Deadline = std::chrono::steady_clock::time_point;

class COGI_API ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Read() reads up to `size` bytes. Returns how many, 0 at the end of the stream, or -1 with
  // errno: ETIMEDOUT after the read deadline, ECANCELED, ECONNRESET, ... May yield.
  [[nodiscard]] virtual ssize_t Read(void* buffer, size_t size) = 0;

  // Write() writes all of the `count` pieces (0 to 64; the array may be changed by it). Returns
  // true, or false with errno: ETIMEDOUT if no progress was made within the write timeout, EPIPE,
  // ECONNRESET, ECANCELED. May yield.
  [[nodiscard]] virtual bool Write(iovec* pieces, int count) = 0;

  // WriteMore() is Write() with the hint that more follows at once, so that a small head need not
  // travel in a packet of its own. May yield.
  [[nodiscard]] virtual bool WriteMore(iovec* pieces, int count) { return Write(pieces, count); }

  // SendFile() writes `size` bytes of the regular file `fd` from `offset`. As Write(); EIO if the
  // file is shorter.
  [[nodiscard]] virtual bool SendFile(int fd, off_t offset, size_t size) = 0;

  // AwaitInput() returns true when a Read() would not have to wait (data, end or error), false with
  // errno after the read deadline. The caller holds no buffer meanwhile: this is where idle
  // connections rest. May yield.
  [[nodiscard]] virtual bool AwaitInput() = 0;

  // ShutdownWrite() tells the peer that nothing more will come; reading goes on. Errors show later.
  virtual void ShutdownWrite() {}

  // SetReadDeadline() bounds all later reads and AwaitInput(). Deadline::max(): none.
  virtual void SetReadDeadline(Deadline deadline) = 0;
  // SetWriteTimeout() bounds how long a write may make no progress. Zero or less: no limit.
  virtual void SetWriteTimeout(std::chrono::milliseconds idle) = 0;
};

// FdStream is a ByteStream over a connected stream socket, by recv, sendmsg (with MSG_DONTWAIT and
// MSG_NOSIGNAL), sendfile and poll(2). Works on blocking and on non-blocking descriptors. Does not
// own `fd`.
class COGI_API FdStream : public ByteStream {
 public:
  explicit FdStream(int fd) : fd_(fd) {}

  ssize_t Read(void* buffer, size_t size) override;
  bool Write(iovec* pieces, int count) override { return Send(pieces, count, 0); }
  bool WriteMore(iovec* pieces, int count) override;
  bool SendFile(int fd, off_t offset, size_t size) override;
  bool AwaitInput() override;
  void ShutdownWrite() override;
  void SetReadDeadline(Deadline deadline) override { read_deadline_ = deadline; }
  void SetWriteTimeout(std::chrono::milliseconds idle) override { write_timeout_ = idle; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  bool Send(iovec* pieces, int count, int flags);
  bool AwaitOutput();

  int fd_;
  Deadline read_deadline_ = Deadline::max();
  std::chrono::milliseconds write_timeout_{0};
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_BYTE_STREAM_H_
