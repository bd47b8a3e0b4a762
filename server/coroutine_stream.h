// CoroutineStream: the ByteStream of a connection in a worker. Non-blocking socket, real system
// calls, and the event loop for waiting: a kept-alive request costs one epoll_wait, one recv and
// one send. While AwaitInput() waits, the connection holds no buffer here.
#ifndef COGI_SERVER_COROUTINE_STREAM_H_
#define COGI_SERVER_COROUTINE_STREAM_H_

#include <cstdint>

#include "cgi/byte_stream.h"

namespace cogi::server {

class CoroutineStream final : public cgi::ByteStream {
 public:
  // `fd` is a connected, non-blocking stream socket; not owned.
  explicit CoroutineStream(int fd) : fd_(fd) {}

  ssize_t Read(void* buffer, size_t size) override;
  bool Write(iovec* pieces, int count) override;
  bool WriteMore(iovec* pieces, int count) override;
  bool SendFile(int fd, off_t offset, size_t size) override;
  bool AwaitInput() override;
  void ShutdownWrite() override;
  void SetReadDeadline(cgi::Deadline deadline) override { read_deadline_ = deadline; }
  void SetWriteTimeout(std::chrono::milliseconds idle) override { write_timeout_ = idle; }

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] uint64_t bytes_written() const { return bytes_written_; }
  // For a layer that reads and writes the descriptor itself: AwaitReadable() and AwaitWritable()
  // wait after it got EAGAIN, within the read deadline or write timeout; false with errno. Yield.
  // LetOthersRun() is for one that has read much and got nothing: false if the read deadline has
  // passed. CountRead(), CountWritten() keep the byte counts.
  [[nodiscard]] bool AwaitReadable();
  [[nodiscard]] bool LetOthersRun();
  [[nodiscard]] bool AwaitWritable();
  void CountRead(size_t bytes) { bytes_read_ += bytes; }
  void CountWritten(size_t bytes) { bytes_written_ += bytes; }
  // idle() is true while the connection rests in AwaitInput().
  [[nodiscard]] bool idle() const { return idle_; }
  // What a connection that comes to rest does: wait for input; end, unless input is there already
  // (a client that has said nothing yet gets a moment to say it); or leave at once, with what is
  // unread still in the socket. The latter two make AwaitInput() fail with ECANCELED.
  enum class AtRest : uint8_t { kWait, kEnd, kLeave };
  // SetAtRest() is called from another coroutine too; the caller then cancels the coroutine of an
  // idle connection.
  void SetAtRest(AtRest at_rest) {
    at_rest_ = at_rest;
    left_ = false;
  }
  // ends() is true if it has been told to end at rest.
  [[nodiscard]] bool ends() const { return at_rest_ == AtRest::kEnd; }
  // left() is true if the last AwaitInput() failed because of kLeave.
  [[nodiscard]] bool left() const { return left_; }

 private:
  [[nodiscard]] bool MayReadOn() const;
  bool InputIsThere() const;
  bool Send(iovec* pieces, int count, int flags);
  bool Wait(uint32_t events, cgi::Deadline deadline);
  bool WaitWritable();

  const int fd_;
  bool idle_ = false;
  bool left_ = false;
  AtRest at_rest_ = AtRest::kWait;
  cgi::Deadline read_deadline_ = cgi::Deadline::max();
  std::chrono::milliseconds write_timeout_{0};
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_COROUTINE_STREAM_H_
