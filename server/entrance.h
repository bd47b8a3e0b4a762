// Entrance: what all connections of one listener share in a worker. Immutable; never yields.
#ifndef COGI_SERVER_ENTRANCE_H_
#define COGI_SERVER_ENTRANCE_H_

#include "config/settings.h"
#include "server/listener.h"
#include "server/proxies.h"
#include "server/tls_context.h"

namespace cogi::server {

struct Entrance {
  const config::Listener& settings;
  Listener& listener;
  const TlsContext* tls;  // null: a listener without TLS
  const Proxies proxies{settings};
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ENTRANCE_H_
