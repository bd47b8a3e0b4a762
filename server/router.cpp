#include "server/router.h"

#include <utility>

#include "config/route_match.h"
#include "coroutine/coroutine.h"
#include "server/document_root.h"
#include "server/error_page.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/native.h"
#include "server/route_filter.h"
#include "server/route_target.h"
#include "server/site.h"
#include "server/static_files.h"
#include "server/upstream/upstream_handler.h"

namespace cogi::server {
namespace {

// A route of the form "static".
class StaticRoute final : public cgi::Handler {
 public:
  explicit StaticRoute(const config::Route& route) : root_(route.file), files_(root_, route) {}
  void Serve(cgi::Request& request, cgi::Response& response) override {
    files_.Serve(request, response);
  }
  [[nodiscard]] bool usable() const { return root_.usable(); }

 private:
  DocumentRoot root_;
  StaticFiles files_;
};

// A route of the form "rewrite".
class RewriteHandler final : public cgi::Handler {
 public:
  RewriteHandler(const config::Route& route, LocalRedirect rewrite)
      : route_(route), rewrite_(std::move(rewrite)) {}
  void Serve(cgi::Request& request, cgi::Response& response) override {
    rewrite_(request, response, ExpandTarget(route_, request));
  }

 private:
  const config::Route& route_;
  LocalRedirect rewrite_;
};

}  // namespace

Router::Router(const config::Pool& pool, DeadlineKeeper& keeper, WorkerCounters& counters,
               const ServerView& view)
    : pool_(pool) {
  entries_.reserve(pool.routes.size());
  for (const config::Route& route : pool.routes)
    entries_.push_back(MakeEntry(route, keeper, counters, view));
}

Router::~Router() = default;

Router::Entry Router::MakeEntry(const config::Route& route, DeadlineKeeper& keeper,
                                WorkerCounters& counters, const ServerView& view) {
  Entry entry;
  entry.runner = std::make_unique<Runner>(route, keeper, counters);
  const auto redirect = [this](cgi::Request& request, cgi::Response& response,
                               std::string_view location) {
    Redirect(request, response, location, RedirectedRequest::Kind::kRedirect);
  };
  std::string error;
  switch (route.form) {
    case config::Form::kStatic: {
      auto files = std::make_unique<StaticRoute>(route);
      if (!files->usable()) error = Concat("the directory ", route.file, " cannot be opened");
      entry.handler = std::move(files);
      entry.runs_itself = true;
      break;
    }
    case config::Form::kSite:
      entry.handler = std::make_unique<Site>(route, pool_, *entry.runner, redirect);
      entry.runs_itself = true;
      break;
    case config::Form::kProgram:
    case config::Form::kExec: {
      auto programs = std::make_unique<Programs>(route, pool_, *entry.runner, redirect);
      error = programs->Check();
      entry.handler = std::move(programs);
      entry.runs_itself = true;
      break;
    }
    case config::Form::kNative:
      entry.handler = MakeNativeHandler(route.file, route.handler, view, &error);
      break;
    case config::Form::kRedirect:
      entry.handler = std::make_unique<RedirectHandler>(route);
      break;
    case config::Form::kRewrite:
      entry.handler = std::make_unique<RewriteHandler>(
          route, [this](cgi::Request& request, cgi::Response& response, std::string_view location) {
            Redirect(request, response, location, RedirectedRequest::Kind::kRewrite);
          });
      entry.runs_itself = true;
      break;
    case config::Form::kUpstream:
      entry.handler = MakeUpstreamHandler(route, redirect, &error);
      break;
  }
  if (!error.empty()) throw StartError(Concat("route ", route.path, ": ", error));
  AddRules(route, counters, entry);
  return entry;
}

void Router::AddRules(const config::Route& route, WorkerCounters& counters, Entry& entry) {
  if (!route.auth.users.empty()) entry.auth = std::make_unique<BasicAuth>(route.auth, counters);
  if (!route.error_pages.empty()) entry.pages = std::make_unique<ErrorPages>(route.error_pages);
  entry.has_filter = RouteFilter::IsNeeded(route);
}

void Router::Serve(cgi::Request& request, cgi::Response& response) {
  const config::Route* route =
      config::FindRoute(pool_.routes, request.Header("Host"), request.path());
  if (route == nullptr) return AnswerError(request, response, 404);
  Entry& entry = entries_[static_cast<size_t>(route - pool_.routes.data())];
  if (entry.has_filter) response.SetFilter(std::make_unique<RouteFilter>(*route, request));
  const cgi::Deadline total = request.deadline();  // a handler's own may be earlier
  Dispatch(*route, entry, request, response);
  if (coroutine::Cancelled(*coroutine::Current()) && coroutine::Clock::now() >= total &&
      !response.head_sent()) {
    coroutine::ClearCancel(*coroutine::Current());
    AnswerError(request, response, 504);
  }
  if (entry.pages != nullptr && response.is_placeholder()) entry.pages->Apply(response);
}

void Router::Dispatch(const config::Route& route, Entry& entry, cgi::Request& request,
                      cgi::Response& response) {
  if (request.content_length().value_or(0) > route.limits.body) {
    static LogLimiter limiter;
    limiter.Log(Level::kInfo, "413: request ", request.id(), " ", request.target(), ": ",
                *request.content_length(), " bytes of body, the route takes ", route.limits.body);
    return AnswerError(request, response, 413);
  }
  request.set_terms({.body = route.limits.body,
                     .body_idle = route.timeouts.body,
                     .body_min_rate = route.limits.body_rate,
                     .send_idle = route.timeouts.send});
  if (entry.auth != nullptr && !entry.auth->Admit(request, response)) return;
  if (entry.runs_itself) {
    entry.handler->Serve(request, response);
  } else {
    entry.runner->Run(*entry.handler, request, response);
  }
}

void Router::End(cgi::Deadline deadline) {
  for (const Entry& entry : entries_)
    if (entry.handler != nullptr) entry.handler->End(deadline);
}

void Router::Redirect(cgi::Request& request, cgi::Response& response, std::string_view location,
                      RedirectedRequest::Kind kind) {
  const uint32_t hops = RedirectedRequest::HopsOf(request);
  const config::Route* route =
      config::FindRoute(pool_.routes, request.Header("Host"), request.path());
  const uint32_t limit = route == nullptr ? 0 : route->limits.redirects;
  // On the heap, as every request: its program may run on another stack.
  const auto redirected = std::make_unique<RedirectedRequest>(request, location, kind);
  if (hops >= limit || !redirected->valid()) {
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "500: request ", request.id(), ": the redirect to ", location,
                hops >= limit ? " is one too many" : " is no path");
    return AnswerError(request, response, 500);
  }
  Serve(*redirected, response);
  request.set_upstream(std::string(redirected->upstream()));
}

}  // namespace cogi::server
