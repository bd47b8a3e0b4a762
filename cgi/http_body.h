// HttpBody: the body of an HTTP/1.1 request, framing removed (RFC 9112 6), as a blocking stream.
#ifndef COGI_CGI_HTTP_BODY_H_
#define COGI_CGI_HTTP_BODY_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "cgi/body_clock.h"
#include "cgi/body_spool.h"
#include "cgi/byte_stream.h"
#include "cgi/events.h"
#include "cgi/http_chunk_decoder.h"
#include "cgi/http_head.h"
#include "cgi/input_buffer.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class HttpBody {
 public:
  // Why the body cannot be read to its end.
  enum class Failure : uint8_t {
    kNone,
    kTooLarge,
    kTimeout,
    kMalformed,
    kGone,
    kCancelled,
    kNoRoom
  };

  // Start() begins the body of the request whose head is `head`. `input` holds the bytes behind the
  // head; its first `front` bytes (the head) stay in place. `terms` are the request's own, which
  // may still change.
  void Start(ByteStream& stream, InputBuffer& input, size_t front, const Limits& limits,
             const Terms& terms, const HttpHead& head);

  // Read() as Request::ReadBody(). Sends "100 Continue" first if the
  // client waits for it. May yield.
  [[nodiscard]] ssize_t Read(void* buffer, size_t size);

  // Spool() reads the rest of the body, and keeps it for Read(). False with errno if it cannot be
  // read. May yield.
  [[nodiscard]] bool Spool();

  // End() drops what is kept of the body.
  void End() { spool_.Clear(); }

  // Discard() reads and drops the rest of the body, at most `most` bytes. Returns true if it came
  // to the end. May yield.
  [[nodiscard]] bool Discard(uint64_t most);

  // complete() is true when the whole body has come from the connection, or there is none.
  [[nodiscard]] bool complete() const { return complete_; }
  // awaits_continue() is true while the client may be waiting for "100 Continue".
  [[nodiscard]] bool awaits_continue() const { return awaits_continue_; }
  // ForgetContinue() is told when a final status is sent: 100 must not follow it.
  void ForgetContinue() { continue_allowed_ = false; }
  // left() is how much of a body of known length is to come; UINT64_MAX if it is chunked.
  [[nodiscard]] uint64_t left() const {
    if (complete_) return 0;
    return chunked_ ? UINT64_MAX : left_;
  }
  [[nodiscard]] Failure failure() const { return failure_; }
  // refusal() is what the peer is told of a failure; status 0: nothing.
  [[nodiscard]] Refusal refusal() const;

 private:
  ssize_t ReadWire(void* buffer, size_t size, uint64_t limit);
  ssize_t ReadKnown(char* buffer, size_t size);
  ssize_t ReadChunked(char* buffer, size_t size);
  ssize_t Received(ssize_t got);
  ssize_t Fail(Failure failure, int error, const char* reason);
  bool SendContinue();

  ByteStream* stream_ = nullptr;
  InputBuffer* input_ = nullptr;
  size_t front_ = 0;
  const Terms* terms_ = nullptr;
  BodyClock clock_;
  BodySpool spool_;
  ChunkDecoder chunks_;
  bool chunked_ = false;
  bool complete_ = true;
  bool awaits_continue_ = false;
  bool continue_allowed_ = false;
  uint64_t left_ = 0;
  uint64_t taken_ = 0;
  Failure failure_ = Failure::kNone;
  int error_ = 0;
  const char* reason_ = "";
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_BODY_H_
