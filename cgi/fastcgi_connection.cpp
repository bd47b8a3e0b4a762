#include "cgi/fastcgi_connection.h"

#include <chrono>

#include "cgi/fastcgi_exchange.h"
#include "cgi/pool.h"

namespace cogi::cgi {

void FastCgiConnection::Serve(Handler& handler) {
  stream_.SetWriteTimeout(limits_.send_idle);
  while (open_ && Rest()) ServeBusy(handler);
}

// Not inlined, so that nothing of a request's work lies in the frames of a resting connection.
[[gnu::noinline]] bool FastCgiConnection::Rest() {
  if (events_.Draining()) return false;
  stream_.SetReadDeadline(std::chrono::steady_clock::now() + limits_.keep_alive);
  return stream_.AwaitInput();
}

[[gnu::noinline]] void FastCgiConnection::ServeBusy(Handler& handler) {
  auto exchange = Pool<FastCgiExchange>::Take();
  exchange->Attach(stream_, limits_, info_, events_, values_, management_);
  do {
    open_ = exchange->ServeOne(handler);
  } while (open_ && !exchange->resting());
  management_ = exchange->management();
}

}  // namespace cogi::cgi
