// Request: one request as a handler sees it, whatever front end it came by. An abstract class: each
// front end has its own, which keeps the bytes that arrived and makes the CGI meta-variables only
// when somebody asks.
#ifndef COGI_CGI_REQUEST_H_
#define COGI_CGI_REQUEST_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/byte_stream.h"
#include "cgi/export.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class COGI_API Request {
 public:
  virtual ~Request() = default;

  // The parts of the request line. method() is case-sensitive. target() is as the client sent it
  // (RFC 9112 3.2); path() is its path decoded once and normalised (begins with "/", has no "." or
  // ".." segment and no NUL); query() is what follows "?", undecoded, "" if none. Views live as
  // long as the request.
  [[nodiscard]] virtual std::string_view method() const = 0;
  [[nodiscard]] virtual std::string_view target() const = 0;
  [[nodiscard]] virtual std::string_view path() const = 0;
  [[nodiscard]] virtual std::string_view query() const = 0;

  // Header() is the value of a request header, name in any case; several fields of one name are
  // joined as RFC 9110 5.3 says (Cookie by "; "). Empty if there is none.
  [[nodiscard]] virtual std::string_view Header(std::string_view name) const = 0;

  // Variable() is a CGI meta-variable (RFC 3875 4.1) or one of the usual extras (REQUEST_URI,
  // DOCUMENT_ROOT, HTTPS, REMOTE_PORT, ...). nullopt: not set, which is not the same as empty.
  [[nodiscard]] virtual std::optional<std::string_view> Variable(std::string_view name) const = 0;

  // ForEachVariable() visits all meta-variables, each name once. HTTP_PROXY is never among them
  // (CVE-2016-5385).
  virtual void ForEachVariable(
      const std::function<void(std::string_view name, std::string_view value)>& visit) const = 0;

  // SetVariable() sets or replaces a meta-variable for what comes after: routing sets SCRIPT_NAME,
  // PATH_INFO, SCRIPT_FILENAME, DOCUMENT_ROOT, PATH_TRANSLATED so.
  virtual void SetVariable(std::string_view name, std::string_view value) = 0;
  // UnsetVariable() takes one away.
  virtual void UnsetVariable(std::string_view name) = 0;

  // content_length() is the announced length of the body in bytes; nullopt: not announced (chunked,
  // or FastCGI without CONTENT_LENGTH). 0: no body.
  [[nodiscard]] virtual std::optional<uint64_t> content_length() const = 0;

  // ReadBody() reads up to `size` bytes of the body. Returns how many, 0 at its end, or -1 with
  // errno: EMSGSIZE over the body limit, ETIMEDOUT, ECONNRESET or EPROTO if the client broke off (a
  // truncated body is never an end), ECANCELED. May yield.
  [[nodiscard]] virtual ssize_t ReadBody(void* buffer, size_t size) = 0;

  // ReadData() reads the file that a FastCGI filter works on (FastCGI 6.4), as ReadBody(). What is
  // left of the body is dropped first. 0 in all other roles. May yield.
  [[nodiscard]] virtual ssize_t ReadData(void* buffer, size_t size) {
    static_cast<void>(buffer);
    static_cast<void>(size);
    return 0;
  }

  // terms() are how much of a body ReadBody() gives, and how long body and answer may take; a
  // router changes the connection's for those of the route, and answers 413 itself if
  // content_length() is more than its `body`.
  [[nodiscard]] const Terms& terms() const { return terms_; }
  virtual void set_terms(const Terms& terms) { terms_ = terms; }

  // id() is unique in the server's life: it stands in both logs and in error pages.
  [[nodiscard]] std::string_view id() const { return id_; }
  void set_id(std::string id) { id_ = std::move(id); }

  // upstream() is which application elsewhere answers, for the access log; "": none.
  [[nodiscard]] std::string_view upstream() const { return upstream_; }
  void set_upstream(std::string name) { upstream_ = std::move(name); }

  // deadline() is when the handler must have answered. Monotonic.
  [[nodiscard]] Deadline deadline() const { return deadline_; }
  void set_deadline(Deadline deadline) { deadline_ = deadline; }

 private:
  std::string id_;
  std::string upstream_;
  Deadline deadline_ = Deadline::max();
  Terms terms_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_REQUEST_H_
