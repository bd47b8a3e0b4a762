#include "server/connection.h"

#include <exception>
#include <utility>

#include "cgi/http_connection.h"
#include "cgi/scgi_connection.h"
#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/address.h"
#include "server/error_page.h"
#include "server/log.h"
#include "server/tls.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

bool IsWildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

constexpr std::chrono::milliseconds kRelayPause{5};

// Where a listener has several certificates, a request for a host of another one than the
// connection began with is sent back: the client may have skipped a check that it would make for
// that host.
class HostGuard final : public cgi::Handler {
 public:
  HostGuard(const TlsStream& tls, cgi::Handler& handler) : tls_(tls), handler_(handler) {}
  void Serve(cgi::Request& request, cgi::Response& response) override {
    if (!tls_.Covers(request.Header("Host"))) {
      static LogLimiter limiter;
      limiter.Log(Level::kInfo, "421: request ", request.id(), " for the host ",
                  request.Header("Host"), ", which has another certificate");
      return AnswerError(request, response, 421);
    }
    handler_.Serve(request, response);
  }

 private:
  const TlsStream& tls_;
  cgi::Handler& handler_;
};

}  // namespace

cgi::ConnectionInfo Connection::InfoOf(const config::Listener& listener, int fd,
                                       const sockaddr_storage& peer) {
  cgi::ConnectionInfo info;
  info.remote_address = HostOf(peer);
  info.remote_port = PortOf(peer);
  if (listener.is_unix()) return info;
  info.server_address = listener.host;
  info.server_port = listener.port;
  // Only an address that stands for several has to be asked for.
  if (IsWildcard(listener.host) || listener.port == 0) {
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0) {
      info.server_address = HostOf(own);
      info.server_port = PortOf(own);
    }
  }
  return info;
}

Connection::Connection(Worker& worker, const Entrance& entrance, UniqueFd fd,
                       cgi::ConnectionInfo info, bool begun)
    : worker_(worker),
      entrance_(entrance),
      fd_(std::move(fd)),
      info_(std::move(info)),
      stream_(fd_.get()),
      begun_(begun) {
  info_.tls = entrance.tls != nullptr;
  worker_.Add(*this);
  if (worker_.closes_idle()) {
    Retire();
  } else if (worker_.draining()) {
    Leave();
  }
}

Connection::~Connection() {
  if (active_ != nullptr) active_->Cut();
  if (counted_) worker_.LeaveAddress(info_.remote_address);
  coroutine::ForgetFd(fd_.get());
  fd_.Reset();
  worker_.Remove(*this);
}

// The frames from here to CoroutineStream::AwaitInput() are what a resting connection keeps, byte
// for byte: what is rare or large in them is in functions of its own, which are not inlined.
bool Connection::AdmitAddress() {
  // Where proxies are trusted one address is many clients, and info_ may come to name another.
  if (!worker_.LimitsAddresses() || entrance_.settings.is_unix() || !entrance_.proxies.empty())
    return true;
  counted_ = worker_.TakeAddress(info_.remote_address);
  return counted_ || begun_;
}

void Connection::Serve() {
  coroutine_ = coroutine::Current();
  try {
    if (!begun_ && entrance_.settings.proxy_protocol && !TakeProxyHeader()) return;
    begun_ = true;
    if (entrance_.tls != nullptr) {
      ServeTls();
    } else {
      ServePlain();
    }
  } catch (const std::exception& exception) {
    LogException(exception.what());
  }
}

[[gnu::noinline]] void Connection::LogException(const char* what) {
  static LogLimiter limiter;
  limiter.Log(Level::kError, "the connection of ", info_.remote_address,
              " ended by an exception: ", what);
}

void Connection::RefuseConnection(const char* code, const std::string& why) {
  Count(worker_.counters().refused);
  static LogLimiter limiter;
  limiter.Log(Level::kInfo, "refused ", info_.remote_address, ": ", code, ": ", why);
}

[[gnu::noinline]] bool Connection::TakeProxyHeader() {
  std::string why;
  const auto deadline = coroutine::After(worker_.limits().header_time);
  if (entrance_.proxies.TakeHeader(stream_, deadline, info_, &why)) return true;
  RefuseConnection("proxy_header", why);
  return false;
}

void Connection::ServePlain() {
  for (;;) {
    ServeProtocol(stream_, worker_.router());
    if (!stream_.left() || PassOn()) return;
    // Nobody takes it. It goes on here, and its next answer is the last.
    leaves_ = false;
    bytes_answered_ = stream_.bytes_read();
    stream_.SetAtRest(CoroutineStream::AtRest::kWait);
  }
}

// Hands the connection to a worker that serves on. False: there is none.
[[gnu::noinline]] bool Connection::PassOn() {
  // The open file lives on elsewhere, and would go on reporting here.
  coroutine::ForgetFd(fd_.get());
  for (;;) {
    switch (entrance_.listener.relay().Send(fd_.get(), info_)) {
      case Relay::Result::kDone:
        return true;
      case Relay::Result::kFull:
        if (coroutine::SleepFor(kRelayPause) != coroutine::WakeReason::kTimeout) return true;
        continue;
      default:
        return false;
    }
  }
}

void Connection::HandOver() const noexcept {
  // Accepted, and its turn has not come?
  const bool untouched = coroutine_ == nullptr && !entrance_.settings.proxy_protocol;
  const bool rests = stream_.idle() && (multiplexer_ == nullptr || multiplexer_->at_rest());
  if (CanLeave() && (untouched || rests))
    static_cast<void>(entrance_.listener.relay().Send(fd_.get(), info_));
}

[[gnu::noinline]] void Connection::ServeTls() {
  stream_.SetWriteTimeout(worker_.limits().send_idle);
  const auto tls = std::make_unique<TlsStream>(*entrance_.tls, stream_);
  std::string why;
  if (!tls->Handshake(coroutine::After(worker_.tls_handshake()), &why))
    return RefuseConnection("tls_handshake", why);
  const auto variables = std::make_unique<cgi::FieldList>();
  tls->AddVariables(*variables);
  info_.variables = variables.get();
  if (entrance_.tls->has_several()) {
    HostGuard guard(*tls, worker_.router());
    ServeProtocol(*tls, guard);
  } else {
    ServeProtocol(*tls, worker_.router());
  }
  info_.variables = nullptr;
}

void Connection::ServeProtocol(cgi::ByteStream& stream, cgi::Handler& handler) {
  const cgi::Limits& limits = worker_.limits();
  stream.SetWriteTimeout(limits.send_idle);
  const config::Protocol protocol = entrance_.settings.protocol;
  if (protocol == config::Protocol::kHttp || protocol == config::Protocol::kHttps) {
    cgi::HttpConnection(stream, limits, info_, *this).Serve(handler);
  } else {
    ServeGateway(stream, handler);
  }
}

[[gnu::noinline]] void Connection::ServeGateway(cgi::ByteStream& stream, cgi::Handler& handler) {
  const cgi::Limits& limits = worker_.limits();
  if (entrance_.settings.protocol == config::Protocol::kFastCgi) {
    multiplexer_ = std::make_unique<FastCgiMultiplexer>(stream, limits, info_,
                                                        worker_.fastcgi_values(), *this);
    multiplexer_->Serve(handler);
  } else {
    cgi::ScgiConnection(stream, limits, info_, *this).Serve(handler);
  }
}

void Connection::TellAtRest(CoroutineStream::AtRest at_rest) {
  stream_.SetAtRest(at_rest);
  if (stream_.idle() && coroutine_ != nullptr) coroutine::Cancel(*coroutine_);
}

void Connection::Retire() {
  leaves_ = false;
  TellAtRest(CoroutineStream::AtRest::kEnd);
}

bool Connection::EndRest() {
  const config::Protocol protocol = entrance_.settings.protocol;
  const bool client = protocol == config::Protocol::kHttp || protocol == config::Protocol::kHttps;
  if (!client || !stream_.idle() || bytes_answered_ == 0 || stream_.ends()) return false;
  Retire();
  return true;
}

void Connection::Leave() {
  if (!CanLeave()) return;
  leaves_ = true;
  TellAtRest(CoroutineStream::AtRest::kLeave);
}

void Connection::Started(cgi::Request& request) {
  auto active = cgi::Pool<ActiveRequest>::Take();
  active->Begin(*this, request);
  active_ = std::move(active);
}

void Connection::Finished(cgi::Request& request, const cgi::Response& response) {
  std::exchange(active_, nullptr)->End(request, response);
}

void Connection::Answered() {
  bytes_answered_ = stream_.bytes_read();
  Count(worker_.counters().bytes_sent, stream_.bytes_written() - bytes_counted_);
  bytes_counted_ = stream_.bytes_written();
  worker_.Touch(*this);
}

void Connection::ForEachRequest(const std::function<void(const ActiveRequest&)>& visit) const {
  if (active_ != nullptr) visit(*active_);
  if (multiplexer_ == nullptr) return;
  multiplexer_->ForEachRequest([&](const cgi::Events& events) {
    const ActiveRequest* active = static_cast<const RequestEvents&>(events).active();
    if (active != nullptr) visit(*active);
  });
}

std::unique_ptr<cgi::Events> Connection::StartRequest() {
  if (!worker_.TakeFastCgiPlace()) {
    Count(worker_.counters().overloaded);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "503: the limit of requests over FastCGI is reached");
    return nullptr;
  }
  return std::make_unique<RequestEvents>(*this);
}

coroutine::Coroutine* Connection::Spawn(std::function<void()> answer) {
  return coroutine::Go([self = shared_from_this(), answer = std::move(answer)] { answer(); },
                       worker_.spawn_options());
}

bool Connection::PeerHasGone() { return server::PeerHasGone(fd_.get()); }

void Connection::Refused(const cgi::Refusal& refusal, const cgi::Request* request) {
  Count(worker_.counters().refused);
  static LogLimiter limiter;
  std::string text =
      Concat("refused ", info_.remote_address, ": ", refusal.code, ": ", refusal.reason);
  if (refusal.status != 0) text += Concat(" (", refusal.status, ")");
  // What was refused before its handler was asked has no id yet: the line names it by one.
  if (request != nullptr)
    text += Concat(" in request ", request->id(), " ", request->target());
  else if (refusal.status != 0)
    text += Concat(" in request ", worker_.NextId());
  limiter.Log(Level::kInfo, text);
}

void Connection::Threw(cgi::Request& request, const char* what) {
  Count(worker_.counters().exceptions);
  LogError("request ", request.id(), " ", request.target(), ": an exception: ", what);
}

// Asked while a request is answered, the answer tells the client that the connection ends. Asked
// between two requests it would end under a client that was told to keep it and may be writing:
// what becomes of resting connections is Worker::Drain()'s business.
bool Connection::Draining() { return worker_.draining() && stream_.bytes_read() > bytes_answered_; }

// FastCGI has no word for it, so a connection that somebody else takes leaves when it rests.
bool Connection::EndsAfterAnswer() { return worker_.draining() && !leaves_; }

}  // namespace cogi::server
