#include <algorithm>
#include <cctype>

#include "config/sections.h"

namespace cogi::config {
namespace {

namespace fs = std::filesystem;

// A path as requests have it once they are normalised: anything else would never match.
bool IsNormalPath(const std::string& path) {
  if (path.empty() || path.front() != '/') return false;
  if (path.find_first_of("?#") != std::string::npos) return false;
  for (const char* never : {"//", "/./", "/../"}) {
    if (path.find(never) != std::string::npos) return false;
  }
  return !path.ends_with("/.") && !path.ends_with("/..");
}

void ReadMatch(Object& object, Route& route) {
  std::string exact;
  object.Read("path", route.path);
  object.Read("exact", exact);
  object.Read("suffix", route.suffix);
  object.Read("host", route.host);
  if (!exact.empty()) {
    for (const char* key : {"path", "suffix"}) {
      if (object.Find(key) != nullptr) object.Refuse(key, "cannot stand beside \"exact\"");
    }
    route.exact = true;
    route.path = exact;
  }
  if (!IsNormalPath(route.path))
    object.Refuse(route.exact ? "exact" : "path",
                  "expected a path that begins with \"/\" and has no \"//\", \".\" or \"..\" "
                  "segment, \"?\" or \"#\"; got \"" +
                      route.path + "\"");
  if (route.suffix.find('/') != std::string::npos)
    object.Refuse("suffix", "expected the end of a name, such as \".php\", without \"/\"");
  std::transform(route.host.begin(), route.host.end(), route.host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (route.host.find_first_of("/: ") != std::string::npos && !route.host.starts_with("["))
    object.Refuse("host", "expected a host name without a port");
}

enum class Kind : uint8_t { kFile, kDirectory, kEither };

void ReadFile(const Source& source, Object& object, std::string_view key, Kind kind,
              std::string& out) {
  object.Read(key, out);
  out = source.Absolute(out);
  std::error_code error;
  const bool directory = fs::is_directory(out, error);
  const bool file = fs::is_regular_file(out, error);
  if (kind == Kind::kDirectory && !directory) object.Refuse(key, "no such directory: " + out);
  if (kind == Kind::kFile && !file) object.Refuse(key, "no such file: " + out);
  if (!directory && !file) object.Refuse(key, "no such file or directory: " + out);
}

void ReadNative(const Source& source, Object& object, Route& route) {
  const Node* node = object.Find("native");
  if (node->kind != Node::Kind::kObject) {
    object.Read("native", route.handler);
    return;
  }
  ReadGroup(object, "native", [&](Object& native) {
    native.Read("handler", route.handler);
    if (native.Find("module") != nullptr)
      ReadFile(source, native, "module", Kind::kFile, route.file);
    native.Done();
    if (route.handler.empty()) native.Refuse("", "needs \"handler\", the name of the handler");
  });
}

// Where the scripts of an application are, and which of them answers for a directory.
void ReadRoot(const Source& source, Object& object, Route& route) {
  if (object.Find("root") == nullptr) return;
  ReadFile(source, object, "root", Kind::kDirectory, route.root);
  route.index = "index.php";
}

// Where a redirect or rewrite leads: text with placeholders.
void ReadTarget(Object& object, std::string_view key, Route& route) {
  object.Read(key, route.target);
  for (size_t at = route.target.find('{'); at != std::string::npos;
       at = route.target.find('{', at + 1)) {
    const std::string name = route.target.substr(at, route.target.find('}', at) + 1 - at);
    if (name != "{path}" && name != "{rest}" && name != "{query}" && name != "{host}")
      object.Refuse(key, "knows {path}, {rest}, {query} and {host}; got \"" + name + "\"");
  }
  for (const unsigned char c : route.target) {
    if (c <= 0x20 || c >= 0x7f)
      object.Refuse(key,
                    "expected a target without spaces, control characters and non-ASCII "
                    "letters; percent-encode them");
  }
  if (route.form == Form::kRewrite && !route.target.starts_with('/') &&
      !route.target.starts_with("{path}") && !route.target.starts_with("{rest}"))
    object.Refuse(key, "expected a path that begins with \"/\"");
  uint32_t status = route.redirect_status;
  object.Read("status", status, 300, 399);
  if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
    object.Refuse("status", "expected 301, 302, 303, 307 or 308");
  route.redirect_status = static_cast<uint16_t>(status);
}

void ReadForm(const Source& source, Object& object, Route& route) {
  static const Object::Names<Form> kForms = {
      {"static", Form::kStatic},   {"site", Form::kSite},       {"program", Form::kProgram},
      {"native", Form::kNative},   {"exec", Form::kExec},       {"redirect", Form::kRedirect},
      {"rewrite", Form::kRewrite}, {"fastcgi", Form::kUpstream}};
  std::string_view key;
  for (const auto& [name, form] : kForms) {
    if (object.Find(name) == nullptr) continue;
    if (!key.empty())
      object.Refuse(name,
                    "a route has one form, and this one has \"" + std::string(key) + "\" already");
    key = name;
    route.form = form;
  }
  switch (key.empty() ? Form::kStatic : route.form) {
    case Form::kStatic:
    case Form::kSite:
      if (!key.empty()) ReadFile(source, object, key, Kind::kDirectory, route.file);
      break;
    case Form::kProgram:
    case Form::kExec:
      ReadFile(source, object, key, Kind::kEither, route.file);
      break;
    case Form::kNative:
      ReadNative(source, object, route);
      break;
    case Form::kRedirect:
    case Form::kRewrite:
      ReadTarget(object, key, route);
      break;
    case Form::kUpstream:
      ReadUpstream(source, object, route.upstream);
      ReadRoot(source, object, route);
      break;
  }
  object.Read("listing", route.listing);
  object.Read("precompressed", route.precompressed);
  if (const Node* index = object.Find("index")) {
    if (index->kind != Node::Kind::kString || index->string.find('/') != std::string::npos)
      object.Expected("index", "a file name, or \"\" for none", *index);
    route.index = index->string;
  }
  const bool has_status = object.Find("status") != nullptr;
  object.Done();  // before what is missing: a misspelt form is an unknown key
  if (key.empty())
    object.Refuse("",
                  "says not who answers: expected one of \"static\", \"site\", \"program\", "
                  "\"native\", \"exec\", \"redirect\", \"rewrite\" or \"fastcgi\"");
  const bool has_files = route.form == Form::kStatic || route.form == Form::kSite;
  if (object.Find("index") != nullptr && !has_files && route.root.empty())
    object.Refuse("index", "belongs to \"static\", \"site\", and \"fastcgi\" with a \"root\"");
  for (const char* of_files : {"listing", "precompressed"}) {
    if (object.Find(of_files) != nullptr && !has_files)
      object.Refuse(of_files, "belongs to \"static\" and \"site\"");
  }
  if (has_status && route.form != Form::kRedirect)
    object.Refuse("status", "belongs to \"redirect\"");
}

}  // namespace

static bool IsVariableName(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '_');
         });
}

void ReadEnvironment(const Object& object, std::map<std::string, std::string>& environment) {
  for (const Member& member : object.node().members) {
    if (!IsVariableName(member.key) || member.key == "HTTP_PROXY")
      object.Refuse(member.key,
                    "expected the name of an environment variable: letters, digits and \"_\", and "
                    "not HTTP_PROXY");
    if (member.value.kind != Node::Kind::kString ||
        member.value.string.find('\0') != std::string::npos)
      object.Expected(member.key, "a string", member.value);
    environment[member.key] = member.value.string;
  }
}

Route ReadRoute(const Source& source, const Node& node, const std::string& pointer,
                const Pool& pool) {
  Object object(source.document, node, pointer);
  Route route;
  route.coroutine = pool.coroutine;
  route.timeouts = pool.timeouts;
  route.limits = pool.limits;
  route.compress = pool.compress;
  ReadMatch(object, route);
  ReadGroup(object, "environment",
            [&](Object& group) { ReadEnvironment(group, route.environment); });
  ReadGroup(object, "coroutine",
            [&](Object& group) { ReadCoroutines(group, Scope::kRoute, route.coroutine); });
  ReadGroup(object, "timeouts",
            [&](Object& group) { ReadTimeouts(group, Scope::kRoute, route.timeouts); });
  ReadGroup(object, "limits",
            [&](Object& group) { ReadLimits(group, Scope::kRoute, route.limits); });
  ReadRouteRules(source, object, route);
  ReadForm(source, object, route);
  return route;
}

}  // namespace cogi::config
