// ParseScgiHeader: the head of an SCGI request (the SCGI protocol of Neil Schemenauer, 2008): a
// netstring of names and values, each ended by NUL. Pure codec.
//
//   request := length ":" header "," body        length: of the header, decimal, no leading zero
//   header  := "CONTENT_LENGTH" NUL digits NUL ... "SCGI" NUL "1" NUL ...
#ifndef COGI_CGI_SCGI_HEADER_H_
#define COGI_CGI_SCGI_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cgi/export.h"
#include "cgi/limits.h"
#include "cgi/meta_variables.h"

namespace cogi::cgi {

struct ScgiHeader {
  enum class Result : uint8_t { kMore, kDone, kBad };
  Result result = Result::kMore;
  size_t size = 0;  // kDone: bytes of the head; the body follows
  uint64_t content_length = 0;
  const char* code = nullptr;  // kBad: a counter's name and a sentence
  const char* reason = nullptr;
};

// ParseScgiHeader() reads the head at the beginning of `bytes` and, when it is complete, sets
// `variables`. Its length is checked against limits.params_bytes before it has arrived.
[[nodiscard]] COGI_API ScgiHeader ParseScgiHeader(std::string_view bytes, const Limits& limits,
                                                  MetaVariables& variables);

}  // namespace cogi::cgi

#endif  // COGI_CGI_SCGI_HEADER_H_
