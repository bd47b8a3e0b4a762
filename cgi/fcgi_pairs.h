// PairParser: name-value pairs (FastCGI 3.4) out of a stream that may be split anywhere. Lengths
// are checked against the limits before any memory is taken for them (CVE-2025-23016).
#ifndef COGI_CGI_FCGI_PAIRS_H_
#define COGI_CGI_FCGI_PAIRS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi::fcgi {

class COGI_API PairParser {
 public:
  // At most `bytes` bytes in all, the length fields included, and `pairs` pairs.
  PairParser(size_t bytes, size_t pairs) : bytes_left_(bytes), pairs_left_(pairs) {}

  // Next() reads from `in`, and takes what it used off it. Returns true with a pair, whose views
  // live until the next call or as long as `in`; false when `in` is used up or error() is set.
  bool Next(std::string_view& in, std::string_view& name, std::string_view& value);

  // complete() is true between two pairs: where the stream may end.
  [[nodiscard]] bool complete() const { return partial_.empty() || handed_out_; }
  // error() is null, or says in one sentence what is wrong. Static text.
  [[nodiscard]] const char* error() const { return error_; }

 private:
  bool Fail(const char* error);
  bool NextOfAnyKind(std::string_view& in, std::string_view& name, std::string_view& value);

  size_t bytes_left_;
  size_t pairs_left_;
  std::string partial_;  // the beginning of a pair that is not complete
  bool handed_out_ = false;
  const char* error_ = nullptr;
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_PAIRS_H_
