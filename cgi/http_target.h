// The request target (RFC 9112 3.2) and the Host field (RFC 9110 7.2): which form it has, and its
// parts. Views into the text that was given.
#ifndef COGI_CGI_HTTP_TARGET_H_
#define COGI_CGI_HTTP_TARGET_H_

#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

struct HttpTarget {
  enum class Form : unsigned char { kOrigin, kAbsolute, kAuthority, kAsterisk };
  Form form = Form::kOrigin;
  std::string_view path;       // raw; "/" if an absolute target has none; "" for the last two forms
  std::string_view query;      // what follows "?", raw
  std::string_view authority;  // of the absolute and authority forms: host[:port]
};

// ParseTarget() splits `text`. Returns null, or in one sentence why it is no lawful target. The
// path is not checked (NormalizePath() does that), the authority is.
[[nodiscard]] COGI_API const char* ParseTarget(std::string_view text, HttpTarget& target);

// IsHostAndPort() is true for uri-host [":" port] (RFC 9110 7.2): a name, an IPv4 address or a
// bracketed IPv6 address, with a port of 0 to 65535 or none after the colon. No user information.
[[nodiscard]] COGI_API bool IsHostAndPort(std::string_view text);

// HostOf() is a lawful host[:port] without the port; brackets stay.
[[nodiscard]] COGI_API std::string_view HostOf(std::string_view authority);

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_TARGET_H_
