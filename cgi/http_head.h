// HttpHead and HttpHeadParser: the request line and header fields of an HTTP/1.x request (RFC 9112
// 2 to 6), push-style. Strict by one pass of our own over the raw bytes (line ends, control
// characters, folding, limits); the grammar is read by Boost.Beast. No I/O.
#ifndef COGI_CGI_HTTP_HEAD_H_
#define COGI_CGI_HTTP_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cgi/export.h"
#include "cgi/limits.h"

namespace cogi::cgi {

// What a field is to the server, beside its text.
enum class FieldKind : uint8_t {
  kOther,
  kHost,
  kContentLength,
  kContentType,
  kCookie,       // several are joined by "; "
  kCredentials,  // Authorization, Proxy-Authorization: no meta-variable (RFC 3875 9.2)
  kHopByHop,
  kExpect,
  kUnsafe,  // Proxy, or a name with more than letters, digits and "-": no meta-variable
};

// The parsed head. Offsets are from the first byte that was given to the parser, so that the buffer
// may move.
struct HttpHead {
  struct Text {
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  struct Field {
    Text name;
    Text value;
    FieldKind kind;
  };

  Text method;
  Text target;
  bool known_method = false;  // one of the IANA registry's
  uint8_t minor_version = 1;  // HTTP/1.0 or HTTP/1.1
  std::vector<Field> fields;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;  // by version and Connection
  bool expect_continue = false;
  Text host;  // of the Host field
  bool has_host = false;

  void Clear();
};

// Why a head is refused: the status to answer, a counter's name, a sentence.
struct HttpError {
  int status = 0;
  const char* code = nullptr;
  const char* reason = nullptr;
};

class COGI_API HttpHeadParser {
 public:
  enum class Result : uint8_t { kMore, kDone, kBad };

  // Push() reads a head. `bytes` is all that has arrived since the head's first byte, those of
  // earlier calls included (they are not read again), in one piece. kDone: `head` is filled and
  // size() bytes belong to it. kBad: error() says why; reading further makes no sense.
  Result Push(std::string_view bytes, const Limits& limits, HttpHead& head);

  [[nodiscard]] size_t size() const { return at_; }
  [[nodiscard]] const HttpError& error() const { return error_; }
  // started() is true once a byte other than the one empty line that may come first was read.
  [[nodiscard]] bool started() const { return at_ > skipped_; }
  void Reset() { *this = HttpHeadParser(); }

 private:
  Result Scan(std::string_view bytes, const Limits& limits);
  Result EndLine(std::string_view line, const Limits& limits);
  Result Parse(std::string_view bytes, HttpHead& head);
  Result Fail(int status, const char* code, const char* reason);

  size_t at_ = 0;          // the first byte that was not scanned
  size_t line_begin_ = 0;  // of the line that is being scanned
  size_t skipped_ = 0;     // the empty line before the request line
  size_t lines_ = 0;       // complete ones, the request line included
  HttpError error_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_HEAD_H_
