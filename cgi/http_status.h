// The standard reason phrases (RFC 9110 15 and the IANA registry).
#ifndef COGI_CGI_HTTP_STATUS_H_
#define COGI_CGI_HTTP_STATUS_H_

#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

// StandardReason() is the reason phrase of a status, "Unknown" if it has none.
[[nodiscard]] COGI_API std::string_view StandardReason(int status);

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_STATUS_H_
