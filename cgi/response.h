// Response: what a handler answers. Status and headers are collected until the first byte of the
// body is flushed; then the body streams. One abstract front-end part (Emit) is under it.
#ifndef COGI_CGI_RESPONSE_H_
#define COGI_CGI_RESPONSE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/export.h"

namespace cogi::cgi {

class COGI_API Response {
 public:
  virtual ~Response() = default;

  // SetStatus() sets the status (100 to 999, default 200) and the reason phrase ("": the standard
  // one). No effect after the head was sent.
  void SetStatus(int status, std::string_view reason = {});
  [[nodiscard]] int status() const { return status_; }

  // SetHeader() sets a header, replacing those of the same name (any case). AddHeader() adds one
  // more (Set-Cookie). Return false, and change nothing, if the head was sent or if the name is no
  // token or the value has CR, LF or NUL. Content-Length fixes the length of the body: more is cut,
  // less makes the connection end unclean.
  bool SetHeader(std::string_view name, std::string_view value);
  bool AddHeader(std::string_view name, std::string_view value);
  [[nodiscard]] std::optional<std::string_view> Header(std::string_view name) const;

  // Write() appends to the body; it may be kept back until Flush(), the buffer is full, or the
  // handler returns. Returns false with errno if the client has gone or the send timeout passed.
  // May yield.
  bool Write(std::string_view bytes);
  // Flush() sends what is kept back; the head first, if it was not sent. As Write(). May yield.
  bool Flush();
  // SendFile() sends `size` bytes of the regular file `fd` from `offset`, by sendfile(2) where the
  // front end can. As Write(). May yield.
  bool SendFile(int fd, off_t offset, size_t size);

  // head_sent() is true once nothing of status and headers can be changed.
  [[nodiscard]] bool head_sent() const { return head_sent_; }
  // body_bytes() is how many bytes of the body were given so far.
  [[nodiscard]] uint64_t body_bytes() const { return body_bytes_; }

  // Reset() forgets status, headers and what is kept back, so that an error answer can take their
  // place. Returns false if the head was sent.
  bool Reset();
  // Abort() makes the front end cut the connection, so that the client sees that the answer is not
  // complete.
  void Abort() { aborted_ = true; }
  [[nodiscard]] bool aborted() const { return aborted_; }

 protected:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  // The front end's part. EmitHead() sends (or queues for the next EmitBody) status and fields();
  // `complete_body` is set if the whole body is known to be `kept` bytes. EmitBody() sends body
  // bytes. EmitFile() a piece of a file.
  virtual bool EmitHead(std::optional<uint64_t> body_length) = 0;
  virtual bool EmitBody(std::string_view bytes) = 0;
  virtual bool EmitFile(int fd, off_t offset, size_t size) = 0;

  [[nodiscard]] const Fields& fields() const { return fields_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

  int status_ = 200;
  std::string reason_;
  Fields fields_;
  std::string kept_;
  uint64_t body_bytes_ = 0;
  bool head_sent_ = false;
  bool aborted_ = false;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_RESPONSE_H_
