#include "server/active_request.h"

#include <utility>

#include "server/connection.h"
#include "server/entrance.h"
#include "server/log.h"
#include "server/worker.h"

namespace cogi::server {

void ActiveRequest::Begin(Connection& connection, cgi::Request& request) {
  Worker& worker = connection.worker();
  request.set_id(worker.NextId());
  const Entrance& entrance = connection.entrance();
  if (!entrance.proxies.empty()) entrance.proxies.Apply(connection.remote_address(), request);
  request.set_upstream({});
  connection_ = &connection;
  request_ = &request;
  coroutine_ = coroutine::Current();
  started_ = coroutine::Clock::now();
  request.set_deadline(started_ + worker.total());
  watch_ = worker.clients().Arm(started_, connection.fd());
  try {
    total_ = worker.totals().Arm(started_);
  } catch (...) {
    worker.clients().Disarm(watch_);
    throw;
  }
  timed_ = AccessLogOn();
  if (timed_) clock_.Start();
  Count(worker.counters().requests);
}

void ActiveRequest::End(cgi::Request& request, const cgi::Response& response) {
  Disarm(request);
  connection_->Answered();
  WorkerCounters& counters = connection_->worker().counters();
  if (response.status() >= 500) {
    Count(counters.server_errors);
  } else if (response.status() >= 400) {
    Count(counters.client_errors);
  }
  if (timed_) LogRequest(clock_.Stop(), request, response);
}

// The cancel was for this request: what is left to do with the connection may wait.
void ActiveRequest::Disarm(const cgi::Request& request) {
  Worker& worker = connection_->worker();
  const bool gone = worker.clients().Disarm(watch_);
  const bool late = worker.totals().Disarm(total_);
  if (!gone && !late) return;
  coroutine::ClearCancel(*coroutine_);
  if (gone) Count(worker.counters().clients_gone);
  if (!late) return;
  Count(worker.counters().deadlines);
  static LogLimiter limiter;
  limiter.Log(Level::kWarning, "request ", request.id(), " ", request.target(),
              ": given up, it took longer than \"total\" allows");
}

void ActiveRequest::Cut() {
  connection_->worker().clients().Disarm(watch_);
  connection_->worker().totals().Disarm(total_);
  if (timed_) coroutine::SetSwitchHook(*coroutine_, nullptr);
}

void ActiveRequest::LogRequest(std::chrono::nanoseconds on_cpu, cgi::Request& request,
                               const cgi::Response& response) {
  const Entrance& entrance = connection_->entrance();
  const bool gateway = entrance.settings.protocol == config::Protocol::kFastCgi ||
                       entrance.settings.protocol == config::Protocol::kScgi;
  AccessEntry entry;
  // Over HTTP the connection knows the client; behind another server that one told who it was.
  entry.remote = gateway || !entrance.proxies.empty() ? request.Variable("REMOTE_ADDR").value_or("")
                                                      : connection_->remote_address();
  entry.user = request.Variable("REMOTE_USER").value_or("");
  entry.method = request.method();
  entry.target = request.target();
  entry.protocol = request.Variable("SERVER_PROTOCOL").value_or("");
  entry.referer = request.Header("Referer");
  entry.user_agent = request.Header("User-Agent");
  entry.id = request.id();
  entry.status = response.status();
  entry.body_bytes = response.body_bytes();
  entry.upstream = request.upstream();
  entry.total = coroutine::Clock::now() - started_;
  entry.on_cpu = on_cpu;
  LogAccess(entry);
}

RequestEvents::~RequestEvents() {
  if (active_ != nullptr) active_->Cut();
  connection_.worker().GiveFastCgiPlace();
}

void RequestEvents::Started(cgi::Request& request) {
  auto active = cgi::Pool<ActiveRequest>::Take();
  active->Begin(connection_, request);
  active_ = std::move(active);
}

void RequestEvents::Finished(cgi::Request& request, const cgi::Response& response) {
  std::exchange(active_, nullptr)->End(request, response);
}

void RequestEvents::Refused(const cgi::Refusal& refusal, const cgi::Request* request) {
  connection_.Refused(refusal, request);
}

void RequestEvents::Threw(cgi::Request& request, const char* what) {
  connection_.Threw(request, what);
}

}  // namespace cogi::server
