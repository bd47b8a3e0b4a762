#include "cgi/http_connection.h"

#include <chrono>

#include "cgi/http_exchange.h"
#include "cgi/pool.h"

namespace cogi::cgi {

void HttpConnection::Serve(Handler& handler) {
  stream_.SetWriteTimeout(limits_.send_idle);
  while (open_ && Rest()) ServeBusy(handler);
}

// Not inlined, so that nothing of a request's work lies in the frames of a resting connection.
[[gnu::noinline]] bool HttpConnection::Rest() {
  if (events_.Draining()) return false;
  auto patience = requests_ == 0 ? limits_.header_time : limits_.keep_alive;
  stream_.SetReadDeadline(std::chrono::steady_clock::now() + patience);
  return stream_.AwaitInput();
}

[[gnu::noinline]] void HttpConnection::ServeBusy(Handler& handler) {
  auto exchange = Pool<HttpExchange>::Take();
  exchange->Attach(stream_, limits_, info_, events_);
  do {
    ++requests_;
    open_ = exchange->ServeOne(handler, requests_ == limits_.requests_per_connection);
  } while (open_ && exchange->has_input());
}

}  // namespace cogi::cgi
