// Proxies: whom a listener believes when he says who the client is, by the PROXY protocol before
// the first byte of a connection, or by Forwarded and X-Forwarded-* in its requests. One per
// listener and worker.
#ifndef COGI_SERVER_PROXIES_H_
#define COGI_SERVER_PROXIES_H_

#include <string>
#include <string_view>

#include "cgi/connection_info.h"
#include "cgi/request.h"
#include "config/settings.h"
#include "server/address.h"
#include "server/coroutine_stream.h"

namespace cogi::server {

class Proxies {
 public:
  // Throws StartError if an address of the settings is none.
  explicit Proxies(const config::Listener& settings);

  // empty() is true if nobody is believed. Trusts() is about a numeric address, or "unix:".
  [[nodiscard]] bool empty() const { return blocks_.empty() && !unix_; }
  [[nodiscard]] bool Trusts(std::string_view address) const;

  // TakeHeader() takes the PROXY header off the beginning of `stream` and writes what it says into
  // `info`. False with the reason in `*why`: the peer is not trusted, there is no such header, or
  // it did not come before `deadline`. Yields.
  [[nodiscard]] bool TakeHeader(CoroutineStream& stream, cgi::Deadline deadline,
                                cgi::ConnectionInfo& info, std::string* why) const;

  // Apply() sets the variables of `request` to what its trusted proxies say of the client; `peer`
  // is the address of the connection. Never yields.
  void Apply(const std::string& peer, cgi::Request& request) const;

 private:
  AddressBlocks blocks_;
  bool unix_ = false;
  config::Listener::Forwarded fields_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROXIES_H_
