#include "server/upstream/script_place.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "server/site.h"
#include "server/text.h"

namespace cogi::server {
namespace {

void SetPathInfo(cgi::Request& request, std::string_view info, std::string_view root) {
  if (info.empty()) {
    request.UnsetVariable("PATH_INFO");
    request.UnsetVariable("PATH_TRANSLATED");
    return;
  }
  request.SetVariable("PATH_INFO", info);
  if (!root.empty()) request.SetVariable("PATH_TRANSLATED", Concat(root, info));
}

std::string_view SuffixOf(const config::Route& route) {
  if (!route.suffix.empty()) return route.suffix;
  const std::string_view index = route.index;
  const size_t dot = index.rfind('.');
  return dot == index.npos ? std::string_view() : index.substr(dot);
}

bool PlaceBelowRoot(cgi::Request& request, const config::Route& route, const DocumentRoot& root) {
  const std::string_view prefix =
      route.exact ? route.path.substr(0, route.path.rfind('/') + 1) : WithoutSlash(route.path);
  std::string below(request.path().substr(std::min(prefix.size(), request.path().size())));
  if (below.starts_with('/')) below.erase(0, 1);
  if ((below.empty() || below.ends_with('/')) && !route.index.empty()) below += route.index;
  const FoundProgram found = FindProgram(root, below, true);
  if (found.kind != FoundProgram::Kind::kProgram || !found.script.ends_with(SuffixOf(route)))
    return false;
  const std::string_view base = root.directory() == "/" ? std::string_view() : root.directory();
  request.SetVariable("SCRIPT_NAME", Concat(WithoutSlash(prefix), "/", found.script));
  request.SetVariable("SCRIPT_FILENAME", Concat(base, "/", found.script));
  request.SetVariable("DOCUMENT_ROOT", root.directory());
  // php-cgi answers nobody who does not say that a web server chose the script.
  request.SetVariable("REDIRECT_STATUS", "200");
  SetPathInfo(request, found.path_info, base);
  return true;
}

}  // namespace

bool PlaceScript(cgi::Request& request, const config::Route& route, const DocumentRoot* root,
                 const std::string& executable) {
  for (const auto& [name, value] : route.environment)
    if (!request.Variable(name)) request.SetVariable(name, value);
  if (root != nullptr) return PlaceBelowRoot(request, route, *root);
  if (request.Variable("SCRIPT_FILENAME")) return true;
  const std::string_view script = WithoutSlash(route.path);
  const std::string_view path = request.path();
  request.SetVariable("SCRIPT_NAME", script);
  if (!executable.empty()) request.SetVariable("SCRIPT_FILENAME", executable);
  const std::string info(path.substr(std::min(script.size(), path.size())));
  SetPathInfo(request, info, {});
  return true;
}

}  // namespace cogi::server
