// Router: the handler that every connection of a pool calls. Finds the route that a request's host
// and path ask for, applies what must hold before anything runs, and calls the route's handler. One
// per worker. May yield in Serve().
#ifndef COGI_SERVER_ROUTER_H_
#define COGI_SERVER_ROUTER_H_

#include <memory>
#include <string>
#include <vector>

#include "cgi/handler.h"
#include "config/settings.h"
#include "server/basic_auth.h"
#include "server/deadline_keeper.h"
#include "server/error_pages.h"
#include "server/native.h"
#include "server/redirected_request.h"
#include "server/runner.h"
#include "server/scoreboard.h"

namespace cogi::server {

class Router final : public cgi::Handler {
 public:
  // Makes the handlers of all routes of `pool`; modules are loaded. Throws StartError if one cannot
  // be had. The others must outlive the router.
  Router(const config::Pool& pool, DeadlineKeeper& keeper, WorkerCounters& counters,
         const ServerView& view);
  ~Router() override;

  void Serve(cgi::Request& request, cgi::Response& response) override;
  void End(cgi::Deadline deadline) override;

 private:
  struct Entry {
    std::unique_ptr<Runner> runner;
    std::unique_ptr<cgi::Handler> handler;
    bool runs_itself = false;  // the handler uses the runner where it has to; else Serve() does
    std::unique_ptr<BasicAuth> auth;    // null: everybody may ask
    std::unique_ptr<ErrorPages> pages;  // null: the server's own
    bool has_filter = false;
  };

  Entry MakeEntry(const config::Route& route, DeadlineKeeper& keeper, WorkerCounters& counters,
                  const ServerView& view);
  void AddRules(const config::Route& route, WorkerCounters& counters, Entry& entry);
  void Dispatch(const config::Route& route, Entry& entry, cgi::Request& request,
                cgi::Response& response);
  void Redirect(cgi::Request& request, cgi::Response& response, std::string_view location,
                RedirectedRequest::Kind kind);

  const config::Pool& pool_;
  std::vector<Entry> entries_;  // parallel to pool_.routes
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ROUTER_H_
