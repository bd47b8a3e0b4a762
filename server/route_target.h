// Routes that lead elsewhere: the forms "redirect" and "rewrite". Handlers; never yield by
// themselves.
#ifndef COGI_SERVER_ROUTE_TARGET_H_
#define COGI_SERVER_ROUTE_TARGET_H_

#include <string>

#include "cgi/handler.h"
#include "config/settings.h"

namespace cogi::server {

// ExpandTarget() is the route's target with its placeholders filled in for `request`: {path},
// {rest}, {query}, {host} (config/README.md). Paths are percent-encoded, so nothing that a client
// sends becomes more than a part of a path or query.
[[nodiscard]] std::string ExpandTarget(const config::Route& route, const cgi::Request& request);

// RedirectHandler sends the client to the route's target.
class RedirectHandler final : public cgi::Handler {
 public:
  explicit RedirectHandler(const config::Route& route) : route_(route) {}
  void Serve(cgi::Request& request, cgi::Response& response) override;

 private:
  const config::Route& route_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ROUTE_TARGET_H_
