// Response: what a handler answers. Status and headers are collected until the first byte of the
// body is sent; then the body streams. One abstract front-end part (Emit) is under it.
#ifndef COGI_CGI_RESPONSE_H_
#define COGI_CGI_RESPONSE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/export.h"
#include "cgi/field_list.h"
#include "cgi/response_filter.h"

namespace cogi::cgi {

class COGI_API Response {
 public:
  virtual ~Response() = default;

  // SetStatus() sets the status (200 to 999, default 200) and the reason phrase ("": the standard
  // one). Returns false, and changes nothing, if the head was sent or the status is out of range.
  bool SetStatus(int status, std::string_view reason = {});
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::string_view reason() const { return reason_; }

  // SetHeader() sets a header, replacing those of the same name (any case). AddHeader() adds one
  // more (Set-Cookie). Return false, and change nothing, if the head was sent, if the name is no
  // token, the value has a control character (CR, LF and NUL above all), or the field is the front
  // end's own business (Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding,
  // Upgrade). Content-Length (digits only, one value) fixes the length of the body: more is cut,
  // less makes the connection end unclean.
  bool SetHeader(std::string_view name, std::string_view value);
  bool AddHeader(std::string_view name, std::string_view value);
  // RemoveHeader() takes all headers of that name away. False if the head was sent or none was.
  bool RemoveHeader(std::string_view name);
  // Header() is the first value of a header that was set. The view lives until the next change.
  [[nodiscard]] std::optional<std::string_view> Header(std::string_view name) const;
  [[nodiscard]] const FieldList& fields() const { return fields_; }

  // Write() appends to the body; it may be kept back until Flush(), until kKeepBack bytes are, or
  // until the handler returns. Returns false with errno if the client has gone or the send timeout
  // passed (and from then on). May yield.
  bool Write(std::string_view bytes);
  // Flush() sends what is kept back; the head first, if it was not sent. As Write(). May yield.
  bool Flush();
  // SendFile() sends `size` bytes of the regular file `fd` from `offset`, by sendfile(2) where the
  // front end can. As Write(). May yield.
  bool SendFile(int fd, off_t offset, size_t size);

  // head_sent() is true once nothing of status and headers can be changed.
  [[nodiscard]] bool head_sent() const { return head_sent_; }
  // body_bytes() is how many bytes of the body were given so far, as far as they are within
  // Content-Length. For HEAD, 204 and 304 they are counted and not sent.
  [[nodiscard]] uint64_t body_bytes() const { return body_bytes_; }
  // body_cut() is true if more was given than Content-Length announced.
  [[nodiscard]] bool body_cut() const { return body_cut_; }

  // Reset() forgets status, headers and what is kept back, so that an error answer can take their
  // place. Returns false if the head was sent.
  bool Reset();
  // Abort() makes the front end cut the connection, so that the client sees that the answer is not
  // complete.
  void Abort() { aborted_ = true; }
  [[nodiscard]] bool aborted() const { return aborted_; }

  // SetFilter() gives the answer a filter, which sees its head and body as they leave. False if the
  // head was sent. Reset() keeps it.
  bool SetFilter(std::unique_ptr<ResponseFilter> filter);
  // ReplaceBody() puts `bytes` in the place of what was written, and leaves status and fields.
  // False if the head was sent.
  bool ReplaceBody(std::string_view bytes);
  // A placeholder is an answer whose body says no more than its status: somebody who knows the site
  // better may replace it. Reset() takes the mark away.
  void MarkPlaceholder() { placeholder_ = true; }
  [[nodiscard]] bool is_placeholder() const { return placeholder_; }

  static constexpr size_t kKeepBack = 16 * 1024;

 protected:
  // One step of the answer: any of a head, up to two pieces of body or a piece of a file, and the
  // end, in this order. The front end sends it with as few system calls as it can.
  struct Output {
    bool head = false;               // send status(), reason() and fields() first ...
    std::optional<uint64_t> length;  // ... of a body of this many bytes, if that is known
    std::string_view body[2];
    int file = -1;
    off_t file_offset = 0;
    size_t file_size = 0;
    bool end = false;  // the answer is complete
  };

  // Emit() is the front end's part. Body pieces are empty where the answer has no body. False with
  // errno if the connection has failed. May yield.
  virtual bool Emit(const Output& output) = 0;

  // PrepareHead() is called before the head is sent while the handler still runs: the rest of the
  // request's body has to be in by then (BodySpool). False with errno if it cannot be read; the
  // head is not sent then, and an error answer may take its place. May yield.
  virtual bool PrepareHead() { return true; }

  // StartOver() makes the object ready for the next request. `has_body` is false for HEAD.
  void StartOver(bool has_body);
  // End() completes the answer after the handler has returned: sends what is kept back, with the
  // exact length if nothing was sent before. Aborts if the body is shorter than its Content-Length
  // (body_short() then). As Write(). May yield.
  bool End();
  [[nodiscard]] bool body_short() const { return body_short_; }

 private:
  bool CheckedField(std::string_view name, std::string_view& value);
  [[nodiscard]] bool BodyAllowed() const;
  uint64_t Admit(uint64_t size);
  bool Send(Output& output, bool flush = false);
  bool BeginHead(Output& output);
  bool EmitFiltered(Output output, ResponseFilter::Then then);
  bool FilterFile(Output& output);

  FieldList fields_;
  std::string reason_;
  std::string kept_;
  std::optional<uint64_t> declared_length_;
  uint64_t body_bytes_ = 0;
  int status_ = 200;
  int error_ = 0;  // errno of the first failure
  bool has_body_ = true;
  bool head_sent_ = false;
  bool body_cut_ = false;
  bool body_short_ = false;
  bool aborted_ = false;
  bool placeholder_ = false;
  bool filtered_ = false;  // filter_ transforms the body
  std::unique_ptr<ResponseFilter> filter_;
  std::string coded_;  // what the filter made of the pieces that are sent next
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_RESPONSE_H_
