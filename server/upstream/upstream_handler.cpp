#include "server/upstream/upstream_handler.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "server/document_root.h"
#include "server/error_page.h"
#include "server/log.h"
#include "server/upstream/exchange.h"
#include "server/upstream/process_pool.h"
#include "server/upstream/script_place.h"
#include "server/upstream/server_list.h"

namespace cogi::server {
namespace {

using cgi::fcgi::ProtocolStatus;

constexpr int kAttempts = 2;

// RFC 9110 9.2.2.
bool IsIdempotent(std::string_view method) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
  return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

class UpstreamHandler final : public cgi::Handler {
 public:
  UpstreamHandler(const config::Route& route, LocalRedirect redirect,
                  std::unique_ptr<LinkSource> source)
      : route_(route), redirect_(std::move(redirect)), source_(std::move(source)) {
    if (!route.root.empty()) root_.emplace(route.root);
  }

  void Serve(cgi::Request& request, cgi::Response& response) override;
  [[nodiscard]] bool usable() const { return !root_ || root_->usable(); }

 private:
  void Answer(cgi::Request& request, cgi::Response& response, ResponseOutput& output,
              const UpstreamExchange& exchange, const std::string& name);
  static void Fail(cgi::Request& request, cgi::Response& response, int status,
                   std::string_view reason);

  const config::Route& route_;
  const LocalRedirect redirect_;
  const std::unique_ptr<LinkSource> source_;
  std::optional<DocumentRoot> root_;
};

void UpstreamHandler::Fail(cgi::Request& request, cgi::Response& response, int status,
                           std::string_view reason) {
  static LogLimiter limiter;
  limiter.Log(Level::kError, "request ", request.id(), " ", request.target(), ": ", reason,
              response.head_sent() ? "; the answer is cut" : "", " (", status, ")");
  AnswerError(request, response, status);
}

// The end of an answer that came to its end.
void UpstreamHandler::Answer(cgi::Request& request, cgi::Response& response, ResponseOutput& output,
                             const UpstreamExchange& exchange, const std::string& name) {
  const bool silent = output.empty();
  output.Finish();
  if (exchange.protocol_status() == ProtocolStatus::kOverloaded && silent)
    return Fail(request, response, 503, Concat(name, " is overloaded"));
  if (exchange.protocol_status() != ProtocolStatus::kRequestComplete && silent)
    return Fail(request, response, 502,
                Concat(name, " refused the request with protocolStatus ",
                       static_cast<int>(exchange.protocol_status())));
  if (exchange.app_status() != 0)
    LogInfo("request ", request.id(), " ", request.target(), ": ", name, " ended with status ",
            exchange.app_status());
  const cgi::CgiHeaderParser& header = output.header();
  if (header.state() != cgi::CgiHeaderParser::State::kDone)
    return Fail(request, response, 502, Concat(name, ": ", silent ? "no answer" : header.error()));
  if (!output.local_redirect()) return;
  const std::string location(header.location());
  redirect_(request, response, location);
}

void UpstreamHandler::Serve(cgi::Request& request, cgi::Response& response) {
  if (!PlaceScript(request, route_, root_ ? &*root_ : nullptr, source_->executable()))
    return AnswerError(request, response, 404);
  RequestFeed feed(request);
  // What hinders the client's body is the front end's to say.
  if (!feed.Start(source_->keeps(), route_.limits.body_memory)) return;
  ErrorLines errors;
  errors.Begin([&request](std::string_view line) {
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "request ", request.id(), " ", request.target(), ": ", line);
  });
  for (int attempt = 1;; ++attempt) {
    LinkRefusal refusal;
    Lease lease(*source_, source_->Take(attempt > 1, &refusal));
    if (!lease) {
      if (refusal.status != 0) Fail(request, response, refusal.status, refusal.reason);
      return;
    }
    const std::string name = source_->NameOf(*lease);
    request.set_upstream(name);
    ResponseOutput output;
    output.Begin(response, 0);
    UpstreamExchange exchange(feed, response, output, errors);
    const UpstreamExchange::End end = exchange.Run(lease->fd.get());
    errors.Finish();
    if (end == UpstreamExchange::End::kAbandoned) return;  // who cancelled says so
    if (end == UpstreamExchange::End::kComplete) {
      lease.Return(exchange.reusable() && source_->keeps() ? LinkEnd::kKept : LinkEnd::kClosed);
      return Answer(request, response, output, exchange, name);
    }
    const std::string reason = Concat(name, ": ", exchange.failure());
    const bool repeats = attempt < kAttempts && !exchange.answered() &&
                         (IsIdempotent(request.method()) || exchange.untouched()) && feed.Rewind();
    lease.Return(LinkEnd::kFailed);
    if (!repeats) return Fail(request, response, 502, reason);
    LogInfo("request ", request.id(), " ", request.target(), ": ", reason, "; asked once more");
  }
}

}  // namespace

std::unique_ptr<cgi::Handler> MakeUpstreamHandler(const config::Route& route,
                                                  LocalRedirect redirect, std::string* error) {
  std::unique_ptr<LinkSource> source;
  if (route.upstream.command.empty()) {
    source = std::make_unique<ServerList>(route);
  } else {
    auto pool = std::make_unique<ProcessPool>(route);
    if (*error = pool->Check(); !error->empty()) return nullptr;
    pool->StartLeast();
    source = std::move(pool);
  }
  auto handler = std::make_unique<UpstreamHandler>(route, std::move(redirect), std::move(source));
  if (!handler->usable()) *error = Concat("the directory ", route.root, " cannot be opened");
  return handler;
}

}  // namespace cogi::server
