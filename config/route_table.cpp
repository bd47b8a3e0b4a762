// What `cogi check` prints.
#include <algorithm>
#include <array>
#include <vector>

#include "config/load.h"
#include "config/units.h"

namespace cogi::config {
namespace {

constexpr size_t kColumns = 4;
using Row = std::array<std::string, kColumns>;

std::string FormName(Form form) {
  switch (form) {
    case Form::kStatic:
      return "static";
    case Form::kSite:
      return "site";
    case Form::kProgram:
      return "program";
    case Form::kNative:
      return "native";
    case Form::kExec:
      return "exec";
    case Form::kRedirect:
      return "redirect";
    case Form::kRewrite:
      return "rewrite";
    case Form::kUpstream:
      return "fastcgi";
  }
  return "";
}

std::string Pattern(const Route& route) {
  if (route.exact) return route.path;
  const bool slash = route.path.ends_with('/');
  if (!route.suffix.empty()) return route.path + (slash ? "*" : "/*") + route.suffix;
  return route.path + (slash ? "*" : "[/*]");
}

std::string Application(const Upstream& upstream) {
  std::string text;
  for (const std::string& word : upstream.command) text += (text.empty() ? "" : " ") + word;
  for (const Upstream::Server& server : upstream.servers) {
    const bool v6 = server.host.find(':') != std::string::npos;
    text += text.empty() ? "" : ", ";
    if (!server.unix_path.empty()) {
      text += "unix:" + server.unix_path;
    } else {
      text += (v6 ? "[" + server.host + "]" : server.host) + ":" + std::to_string(server.port);
    }
  }
  return text;
}

std::string Target(const Route& route) {
  if (route.form == Form::kNative)
    return route.file.empty() ? route.handler : route.handler + " in " + route.file;
  if (route.form == Form::kRedirect)
    return route.target + " (" + std::to_string(route.redirect_status) + ")";
  if (route.form == Form::kRewrite) return route.target;
  return route.form == Form::kUpstream ? Application(route.upstream) : route.file;
}

std::string Rows(const std::vector<Row>& rows) {
  std::array<size_t, kColumns> width{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < kColumns; ++i)
      line += " " + row[i] + std::string(width[i] - row[i].size() + 1, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string RouteTable(const Settings& settings) {
  std::string text;
  for (const auto& [name, pool] : settings.pools) {
    text += "pool " + name + ": " + std::to_string(pool.workers) +
            (pool.workers == 1 ? " worker" : " workers") +
            (pool.user.empty() ? "" : " as " + pool.user) + ", " +
            (pool.coroutine.stack == StackMode::kShared ? "shared" : "private") + " stacks of " +
            FormatSize(pool.coroutine.stack_size) + "\n";
    for (const Listener& listener : pool.listen)
      text += "  listens on " + FormatListener(listener) + "\n";
    std::vector<Row> rows{{"HOST", "PATH", "FORM", "ANSWERED BY"}};
    for (const Route& route : pool.routes)
      rows.push_back({route.host.empty() ? "*" : route.host, Pattern(route), FormName(route.form),
                      Target(route)});
    text += Rows(rows);
  }
  return text;
}

}  // namespace cogi::config
