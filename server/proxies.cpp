#include "server/proxies.h"

#include <sys/socket.h>

#include <cerrno>

#include "cgi/forwarded.h"
#include "cgi/proxy_protocol.h"
#include "server/listener.h"
#include "server/real_calls.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// Reads the header and nothing behind it: what belongs to it is looked at before it is taken.
bool ReadHeader(CoroutineStream& stream, cgi::ProxyHeader& header, std::string* why) {
  std::string bytes;
  for (;;) {
    const size_t have = bytes.size();
    bytes.resize(cgi::kMaxProxyHeader);
    const ssize_t got =
        Real().recv(stream.fd(), bytes.data() + have, bytes.size() - have, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) {
      bytes.resize(have);
      if (got < 0 && errno == EINTR) continue;
      const bool waits = got < 0 && errno == EAGAIN;
      if (waits && stream.AwaitReadable()) continue;
      *why = got == 0 ? "the connection ended within the PROXY header" : ErrnoText(errno);
      return false;
    }
    bytes.resize(have + static_cast<size_t>(got));
    size_t size = 0;
    const cgi::ProxyResult result = cgi::ParseProxyHeader(bytes, header, size);
    const bool whole = result == cgi::ProxyResult::kDone;
    if (result == cgi::ProxyResult::kBad || (!whole && bytes.size() == cgi::kMaxProxyHeader)) {
      *why = "the connection does not begin with a PROXY header";
      return false;
    }
    if (whole) bytes.resize(size);
    // As far as it goes it is the header's; this cannot fail, the bytes are there.
    if (Real().recv(stream.fd(), bytes.data() + have, bytes.size() - have, MSG_DONTWAIT) < 0)
      return false;
    if (whole) return true;
  }
}

}  // namespace

Proxies::Proxies(const config::Listener& settings) : fields_(settings.forwarded) {
  for (const std::string& who : settings.trusted) {
    if (who == "unix:") {
      unix_ = true;
    } else if (!blocks_.Add(who)) {
      throw StartError(Concat("trusted: \"", who, "\" is no address and no block of addresses"));
    }
  }
}

bool Proxies::Trusts(std::string_view address) const {
  return address == "unix:" ? unix_ : blocks_.Contains(address);
}

bool Proxies::TakeHeader(CoroutineStream& stream, cgi::Deadline deadline, cgi::ConnectionInfo& info,
                         std::string* why) const {
  if (!Trusts(info.remote_address)) {
    *why = "it is not one of the trusted proxies";
    return false;
  }
  stream.SetReadDeadline(deadline);
  cgi::ProxyHeader header;
  if (!ReadHeader(stream, header, why)) return false;
  if (!header.has_addresses) return true;
  info.remote_address = header.source_address;
  info.remote_port = header.source_port;
  info.server_address = header.destination_address;
  info.server_port = header.destination_port;
  info.tls = info.tls || header.tls;
  return true;
}

void Proxies::Apply(const std::string& peer, cgi::Request& request) const {
  if (fields_ == config::Listener::Forwarded::kOff || !Trusts(peer)) return;
  const auto fields = fields_ == config::Listener::Forwarded::kForwarded
                          ? cgi::ForwardedFields::kForwarded
                          : cgi::ForwardedFields::kXForwarded;
  cgi::ApplyForwarded(
      cgi::FindForwardedClient(request, peer, fields,
                               [this](std::string_view address) { return Trusts(address); }),
      request);
}

}  // namespace cogi::server
