// Which route answers a request. Pure functions over settings.h; nothing yields.
#ifndef COGI_CONFIG_ROUTE_MATCH_H_
#define COGI_CONFIG_ROUTE_MATCH_H_

#include <string_view>
#include <vector>

#include "config/settings.h"

namespace cogi::config {

// Matches() tells whether `route` answers for `path` (decoded and normalised, as Request::path())
// asked of `host` (with or without a port, any case; "" if the request named none).
[[nodiscard]] bool Matches(const Route& route, std::string_view host, std::string_view path);

// FindRoute() is the first of `routes` that matches, or null. `routes` are in the order in which
// they are tried: SortRoutes() brings them there, and the loader calls it.
[[nodiscard]] const Route* FindRoute(const std::vector<Route>& routes, std::string_view host,
                                     std::string_view path);
void SortRoutes(std::vector<Route>& routes);

}  // namespace cogi::config

#endif  // COGI_CONFIG_ROUTE_MATCH_H_
