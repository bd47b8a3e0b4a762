#include "config/route_match.h"

#include <algorithm>
#include <tuple>

namespace cogi::config {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// A host without its port; an IPv6 literal keeps its brackets.
std::string_view WithoutPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  if (colon == std::string_view::npos) return host;
  if (bracket != std::string_view::npos && colon < bracket) return host;
  return host.substr(0, colon);
}

bool SameHost(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

// "/app" and "/app/" both take what lies below "/app/"; "/app" itself only the former.
bool Below(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return false;
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

}  // namespace

bool Matches(const Route& route, std::string_view host, std::string_view path) {
  if (!route.host.empty() && !SameHost(route.host, WithoutPort(host))) return false;
  if (route.exact) return path == route.path;
  return Below(path, route.path) && path.ends_with(route.suffix);
}

const Route* FindRoute(const std::vector<Route>& routes, std::string_view host,
                       std::string_view path) {
  const auto found = std::find_if(routes.begin(), routes.end(),
                                  [&](const Route& route) { return Matches(route, host, path); });
  return found == routes.end() ? nullptr : &*found;
}

void SortRoutes(std::vector<Route>& routes) {
  const auto rank = [](const Route& route) {
    return std::tuple(!route.host.empty(), route.exact, route.path.size(), route.suffix.size());
  };
  std::stable_sort(routes.begin(), routes.end(),
                   [&](const Route& a, const Route& b) { return rank(a) > rank(b); });
}

}  // namespace cogi::config
