// The PROXY protocol, versions 1 and 2 (HAProxy's specification of 2020): the header by which a
// trusted load balancer says whom a connection comes from, before the first byte of the client.
// Pure codec; whether the peer is trusted is the caller's to check first.
#ifndef COGI_CGI_PROXY_PROTOCOL_H_
#define COGI_CGI_PROXY_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

struct ProxyHeader {
  // The proxied connection; false for LOCAL and UNKNOWN: the balancer's own (a health check), for
  // which the addresses of the socket hold.
  bool has_addresses = false;
  std::string source_address;  // numeric
  std::string destination_address;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  // The client came to the balancer by TLS (version 2, PP2_TYPE_SSL).
  bool tls = false;
};

enum class ProxyResult : uint8_t { kMore, kDone, kBad };

// Bytes of the longest header that is taken: version 1 has at most 107, of version 2 more than this
// has no lawful use.
inline constexpr size_t kMaxProxyHeader = 16 + 2048;

// ParseProxyHeader() reads the header at the beginning of `bytes`. kDone: `header` is filled and
// `size` bytes belong to it; kMore: it is not complete; kBad: no PROXY header, close the
// connection.
[[nodiscard]] COGI_API ProxyResult ParseProxyHeader(std::string_view bytes, ProxyHeader& header,
                                                    size_t& size);

}  // namespace cogi::cgi

#endif  // COGI_CGI_PROXY_PROTOCOL_H_
