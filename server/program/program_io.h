// What a program's descriptors 0 to 2 are: the request's body, the response, and lines of the error
// log. They hold no state of a program's process, so that in-process programs and any other form
// that speaks CGI can use them.
#ifndef COGI_SERVER_PROGRAM_PROGRAM_IO_H_
#define COGI_SERVER_PROGRAM_PROGRAM_IO_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cgi/cgi_header_parser.h"
#include "cgi/request.h"
#include "cgi/response.h"
#include "hooks/program_state.h"

namespace cogi::server {

// RequestInput is the body: exactly CONTENT_LENGTH bytes, then the end (RFC 3875 4.2); to its end
// if no length was announced. A body that broke off is an error, never an end. Reads may yield.
class RequestInput final : public hooks::VirtualFile {
 public:
  void Begin(cgi::Request& request);
  ssize_t Readv(const iovec* pieces, int count) override;
  ssize_t Writev(const iovec* pieces, int count) override;

 private:
  cgi::Request* request_ = nullptr;
  bool limited_ = false;
  uint64_t left_ = 0;
};

// ResponseOutput takes a program's output: the CGI header first (RFC 3875 6), then the body, which
// is sent as the program writes it. Writes may yield.
class ResponseOutput final : public hooks::VirtualFile {
 public:
  // `max_bytes` of output, header included; 0: no limit.
  void Begin(cgi::Response& response, uint64_t max_bytes);
  ssize_t Readv(const iovec* pieces, int count) override;
  ssize_t Writev(const iovec* pieces, int count) override;
  // Take() takes bytes, and sends them unless they `may_wait`. False with errno if the client has
  // gone or the limit was passed.
  bool Take(std::string_view bytes, bool may_wait);
  // Finish() tells that no more will come.
  void Finish();

  // The header, once it has come. state() kBad: the output has none that is lawful; what follows is
  // dropped.
  [[nodiscard]] const cgi::CgiHeaderParser& header() const { return header_; }
  [[nodiscard]] bool local_redirect() const {
    return header_.state() == cgi::CgiHeaderParser::State::kDone &&
           header_.form() == cgi::CgiHeaderParser::Form::kLocalRedirect;
  }
  [[nodiscard]] bool over_limit() const { return over_limit_; }
  // A write failed with ENOMEM: something of the output is missing, whatever the program makes of
  // that.
  [[nodiscard]] bool no_memory() const { return no_memory_; }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }

 private:
  cgi::Response* response_ = nullptr;
  cgi::CgiHeaderParser header_;
  uint64_t bytes_ = 0;
  uint64_t max_bytes_ = 0;
  bool over_limit_ = false;
  bool no_memory_ = false;
};

// ErrorLines passes what a program writes to its stderr on, line by line.
class ErrorLines final : public hooks::VirtualFile {
 public:
  using Sink = std::function<void(std::string_view line)>;
  void Begin(Sink sink);
  ssize_t Readv(const iovec* pieces, int count) override;
  ssize_t Writev(const iovec* pieces, int count) override;
  void Take(std::string_view bytes);
  // Finish() passes on an unfinished last line.
  void Finish();

 private:
  Sink sink_;
  std::string line_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_PROGRAM_IO_H_
