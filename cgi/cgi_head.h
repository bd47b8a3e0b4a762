// AppendCgiHead: the head of an answer as CGI says it (RFC 3875 6), for the front ends behind a web
// server: FastCGI and SCGI.
#ifndef COGI_CGI_CGI_HEAD_H_
#define COGI_CGI_CGI_HEAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cgi/response.h"

namespace cogi::cgi {

// NeedsNoBuffering() is true for an event stream that does not say X-Accel-Buffering itself: nginx
// in front would otherwise keep the events back until its buffer is full.
[[nodiscard]] bool NeedsNoBuffering(const Response& response);
inline constexpr const char* kNoBuffering = "X-Accel-Buffering: no\r\n";

// AppendCgiHead() appends Status, the fields of `response`, Content-Length if the length is known,
// and the empty line.
void AppendCgiHead(std::string& out, const Response& response, std::optional<uint64_t> length);

}  // namespace cogi::cgi

#endif  // COGI_CGI_CGI_HEAD_H_
