// ParseHead: the grammar and the meaning of a complete header block. The one place that includes
// Boost.Beast.
#ifndef COGI_CGI_HTTP_FIELDS_H_
#define COGI_CGI_HTTP_FIELDS_H_

#include <cstddef>
#include <string_view>

#include "cgi/http_head.h"

namespace cogi::cgi {

// ParseHead() reads the header block that begins at `begin` and ends with `bytes` (its empty line
// included; lines end in CRLF, no other control character but HTAB, no folding). Fills `head`,
// which must be clear. Returns the error, status 0 if there is none.
[[nodiscard]] HttpError ParseHead(std::string_view bytes, size_t begin, HttpHead& head);

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_FIELDS_H_
