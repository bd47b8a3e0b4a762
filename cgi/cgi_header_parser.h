// CgiHeaderParser: the header of a CGI program's output (RFC 3875 6), push-style: bytes in, status
// and fields out. Lines end in LF or CRLF. No I/O.
//
//   CgiHeaderParser parser;
//   size_t used = parser.Push(bytes);
//   if (parser.state() == CgiHeaderParser::State::kDone) body = bytes.substr(used);
#ifndef COGI_CGI_CGI_HEADER_PARSER_H_
#define COGI_CGI_CGI_HEADER_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/export.h"
#include "cgi/field_list.h"

namespace cogi::cgi {

class Response;

class COGI_API CgiHeaderParser {
 public:
  enum class State : uint8_t {
    kMore,  // the header is not complete
    kDone,  // complete and lawful
    kBad,   // no lawful CGI header: answer 502 and log error()
  };

  // The forms of a response (RFC 3875 6.2).
  enum class Form : uint8_t {
    kDocument,
    kLocalRedirect,   // Location is a path: the server answers as if that had been asked for
    kClientRedirect,  // Location is a URI
  };

  static constexpr size_t kMaxHeader = 32 * 1024;
  static constexpr size_t kMaxFields = 128;

  // Push() reads the next bytes of the output. Returns how many belong to the header; what is
  // behind them (in state kDone) is the body. Nothing is read after kDone or kBad.
  size_t Push(std::string_view bytes);
  // Finish() tells that the output has ended: kMore becomes kBad.
  void Finish();

  [[nodiscard]] State state() const { return state_; }
  // error() says in one sentence what is wrong, in state kBad. Static text.
  [[nodiscard]] const char* error() const { return error_; }

  // What the header says, in state kDone. status() is 200 if the program gave none, 302 for a
  // client redirect. reason() is "" if it gave none. location() is "" if there is none.
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::string_view reason() const { return reason_; }
  [[nodiscard]] std::string_view location() const { return location_; }
  [[nodiscard]] Form form() const { return form_; }
  [[nodiscard]] std::optional<uint64_t> content_length() const { return content_length_; }
  // fields() are those to send to the client, in their order: without Status, X-CGI-* and what is
  // only of one hop (Connection, Transfer-Encoding, ...).
  [[nodiscard]] const FieldList& fields() const { return fields_; }

  // ApplyTo() gives status and fields to `response`, in state kDone.
  void ApplyTo(Response& response) const;

  // Reset() makes the parser as new and keeps its memory.
  void Reset();

 private:
  void TakeLine(std::string_view line);
  void TakeField(std::string_view name, std::string_view value);
  void TakeStatus(std::string_view value);
  void Complete();
  void Fail(const char* error);

  State state_ = State::kMore;
  Form form_ = Form::kDocument;
  bool has_status_ = false;
  bool first_line_ = true;
  int status_ = 200;
  size_t header_bytes_ = 0;
  const char* error_ = "";
  std::string line_;  // the beginning of a line that is not complete
  std::string reason_;
  std::string location_;
  std::optional<uint64_t> content_length_;
  FieldList fields_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_CGI_HEADER_PARSER_H_
