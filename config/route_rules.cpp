// What a route says beside who answers: headers, compression, who may ask, error pages.
#include <algorithm>
#include <cctype>
#include <charconv>

#include "config/sections.h"

namespace cogi::config {
namespace {

bool IsTokenText(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool HasControl(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

// The front end frames answers itself; a header that says otherwise would break them.
bool IsFraming(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* own :
       {"connection", "content-encoding", "content-length", "content-range", "keep-alive",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}) {
    if (name == own) return true;
  }
  return false;
}

void ReadHeaders(const Object& object, Route& route) {
  for (const Member& member : object.node().members) {
    if (!IsTokenText(member.key))
      object.Refuse(member.key, "expected the name of a header, such as \"Cache-Control\"");
    if (IsFraming(member.key))
      object.Refuse(member.key,
                    "is the server's own business: it depends on how the answer is sent");
    const Node& value = member.value;
    if (value.kind == Node::Kind::kNull) {
      route.headers[member.key] = "";
      continue;
    }
    if (value.kind != Node::Kind::kString || value.string.empty() || HasControl(value.string))
      object.Expected(member.key,
                      "a string that is not empty and has no control characters, or null to take "
                      "the header out",
                      value);
    route.headers[member.key] = value.string;
  }
}

void ReadAuth(const Source& source, Object& object, BasicAuth& auth) {
  object.Read("realm", auth.realm);
  object.Read("users", auth.users);
  object.Done();
  if (auth.users.empty())
    object.Refuse("", "needs \"users\", a file of NAME:HASH lines as htpasswd makes it");
  if (HasControl(auth.realm) || auth.realm.find_first_of("\"\\") != std::string::npos)
    object.Refuse("realm", "expected a text without quotes, backslashes and control characters");
  auth.users = source.Absolute(auth.users);
  std::error_code error;
  if (!std::filesystem::is_regular_file(auth.users, error))
    object.Refuse("users", "no such file: " + auth.users);
}

// "404", or "4xx" and "5xx" as 4 and 5. 0: neither.
uint16_t StatusOrClass(const std::string& text) {
  if (text == "4xx" || text == "5xx") return static_cast<uint16_t>(text[0] - '0');
  uint16_t status = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, status);
  return error == std::errc() && rest == end && status >= 400 && status <= 599 ? status : 0;
}

void ReadErrorPages(const Source& source, const Object& object, Route& route) {
  for (const Member& member : object.node().members) {
    const uint16_t status = StatusOrClass(member.key);
    if (status == 0)
      object.Refuse(member.key, "expected a status from 400 to 599, \"4xx\" or \"5xx\"");
    if (member.value.kind != Node::Kind::kString || member.value.string.empty())
      object.Expected(member.key, "a file", member.value);
    const std::string file = source.Absolute(member.value.string);
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error))
      object.Refuse(member.key, "no such file: " + file);
    route.error_pages[status] = file;
  }
}

bool IsMediaType(const std::string& type) {
  const size_t slash = type.find('/');
  return slash != std::string::npos && IsTokenText(type.substr(0, slash)) &&
         IsTokenText(type.substr(slash + 1));
}

}  // namespace

void ReadCompression(Object& parent, Compression& compression) {
  const Node* node = parent.Find("compress");
  if (node == nullptr) return;
  if (node->kind == Node::Kind::kBoolean) {
    compression.gzip = compression.brotli = node->boolean;
    return;
  }
  ReadGroup(parent, "compress", [&](Object& object) {
    compression.gzip = compression.brotli = true;
    object.Read("gzip", compression.gzip);
    object.Read("brotli", compression.brotli);
    object.Read("level", compression.level, 1, 9);
    object.ReadSize("min_size", compression.min_size, 0, kGiB);
    if (object.Find("types") != nullptr) compression.types.clear();
    object.ForEach("types", [&](const Node& item, const std::string& where) {
      if (item.kind != Node::Kind::kString || !IsMediaType(item.string))
        throw object.document().ErrorAt(
            item.offset, where,
            "expected a media type such as \"text/html\" or \"text/*\", got " + Describe(item));
      compression.types.push_back(item.string);
    });
    object.Done();
  });
}

void ReadRouteRules(const Source& source, Object& object, Route& route) {
  ReadGroup(object, "headers", [&](Object& group) { ReadHeaders(group, route); });
  ReadCompression(object, route.compress);
  ReadGroup(object, "auth", [&](Object& group) { ReadAuth(source, group, route.auth); });
  ReadGroup(object, "error_pages", [&](Object& group) { ReadErrorPages(source, group, route); });
}

}  // namespace cogi::config
