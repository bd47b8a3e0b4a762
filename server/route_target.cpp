#include "server/route_target.h"

#include <algorithm>

#include "server/error_page.h"
#include "server/log.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// What of the path lies below the route's own, with its leading slash.
std::string_view RestOf(const config::Route& route, std::string_view path) {
  const std::string_view own = WithoutSlash(route.path);
  path.remove_prefix(std::min(own.size(), path.size()));
  return path;
}

void AppendPlaceholder(std::string& to, std::string_view name, const config::Route& route,
                       const cgi::Request& request) {
  if (name == "{path}") EncodePath(to, request.path());
  if (name == "{rest}") EncodePath(to, RestOf(route, request.path()));
  if (name == "{host}") to += request.Header("Host");
  if (name == "{query}" && !request.query().empty()) to += Concat("?", request.query());
}

}  // namespace

std::string ExpandTarget(const config::Route& route, const cgi::Request& request) {
  std::string target;
  std::string_view left = route.target;
  while (!left.empty()) {
    const size_t begin = std::min(left.find('{'), left.size());
    target += left.substr(0, begin);
    left.remove_prefix(begin);
    if (left.empty()) break;
    const size_t end = std::min(left.find('}'), left.size() - 1) + 1;
    AppendPlaceholder(target, left.substr(0, end), route, request);
    left.remove_prefix(end);
  }
  return target;
}

void RedirectHandler::Serve(cgi::Request& request, cgi::Response& response) {
  const std::string location = ExpandTarget(route_, request);
  AnswerError(request, response, route_.redirect_status);
  if (response.SetHeader("Location", location)) return;
  static LogLimiter limiter;
  limiter.Log(Level::kWarning, "500: request ", request.id(), ": the redirect to ", location,
              " is no header");
  AnswerError(request, response, 500);
}

}  // namespace cogi::server
