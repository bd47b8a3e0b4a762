// Forwarded (RFC 7239) and X-Forwarded-For, -Proto, -Host: what trusted reverse proxies say
// of the client. Pure functions. They say who asked only if every proxy that wrote them is trusted,
// so the caller passes who is, and nobody else's words count.
#ifndef COGI_CGI_FORWARDED_H_
#define COGI_CGI_FORWARDED_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

class Request;

struct ForwardedClient {
  std::string address;  // numeric; "": nothing was said that can be believed
  uint16_t port = 0;    // 0: not said
  std::string scheme;   // "http" or "https"; "": not said
  std::string host;     // host[:port] that the client asked for; "": not said
};

// Whether a proxy of this numeric address may be believed.
using TrustsProxy = std::function<bool(std::string_view address)>;

// What the trusted proxies write. A proxy passes on the fields that it does not know, as the client
// sent them, so only the ones that it does write may be read.
enum class ForwardedFields : uint8_t { kXForwarded, kForwarded };

// FindForwardedClient() goes through the Forwarded field, or through X-Forwarded-*, from the
// nearest proxy outwards, as long as the one who speaks is trusted. `peer` is the address
// of the connection. The client is the first address that is not trusted, or the farthest one; what
// cannot be read (unknown, obfuscated or malformed nodes) ends the search there, and so do 32 hops.
[[nodiscard]] COGI_API ForwardedClient FindForwardedClient(const Request& request,
                                                           std::string_view peer,
                                                           ForwardedFields fields,
                                                           const TrustsProxy& trusts);

// ApplyForwarded() sets REMOTE_ADDR, REMOTE_HOST, REMOTE_PORT, REQUEST_SCHEME, HTTPS, HTTP_HOST,
// SERVER_NAME and SERVER_PORT of `request` as `client` says, where it does. Header() is not
// changed: routing by host goes by what the connection itself asked for.
COGI_API void ApplyForwarded(const ForwardedClient& client, Request& request);

}  // namespace cogi::cgi

#endif  // COGI_CGI_FORWARDED_H_
