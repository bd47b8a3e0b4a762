#include <arpa/inet.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <stdexcept>

#include "config/load.h"
#include "config/sections.h"

namespace cogi::config {
namespace {

constexpr std::array<std::pair<std::string_view, Protocol>, 4> kProtocols{{
    {"fastcgi", Protocol::kFastCgi},
    {"http", Protocol::kHttp},
    {"https", Protocol::kHttps},
    {"scgi", Protocol::kScgi},
}};

bool IsAddress(const std::string& text, int* bits = nullptr) {
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  if (inet_pton(AF_INET, text.c_str(), binary.data()) == 1) {
    if (bits != nullptr) *bits = 32;
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), binary.data()) == 1) {
    if (bits != nullptr) *bits = 128;
    return true;
  }
  return false;
}

// "10.0.0.0/8", "::1".
bool IsBlock(const std::string& text) {
  const size_t slash = text.find('/');
  int bits = 0;
  if (!IsAddress(text.substr(0, slash), &bits)) return false;
  if (slash == std::string::npos) return true;
  int length = -1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + slash + 1, end, length);
  return error == std::errc() && rest == end && length >= 0 && length <= bits;
}

uint16_t ParsePort(std::string_view text) {
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || rest != end || port > 65535)
    throw std::invalid_argument("expected a port from 0 to 65535, got \"" + std::string(text) +
                                "\"");
  return static_cast<uint16_t>(port);
}

// The fields of a unix socket's file, which make no sense with TCP, and the other way round.
void ReadSocketFile(Object& object, Listener& listener) {
  std::string mode;
  object.Read("mode", mode);
  object.Read("owner", listener.owner);
  object.Read("group", listener.group);
  if (!mode.empty()) {
    unsigned bits = 0;
    const char* end = mode.data() + mode.size();
    const auto [rest, error] = std::from_chars(mode.data(), end, bits, 8);
    if (error != std::errc() || rest != end || bits > 0777)
      object.Refuse("mode",
                    "expected permission bits in octal such as \"0660\", got \"" + mode + "\"");
    listener.mode = bits;
  }
  for (const char* key : {"mode", "owner", "group"}) {
    if (!listener.is_unix() && object.Find(key) != nullptr)
      object.Refuse(key, "belongs to a unix socket, and this listener is TCP");
  }
}

// Who stands in front, and what of his is believed.
void ReadProxies(const Source& source, Object& object, Listener& listener) {
  object.ForEach("trusted", [&](const Node& item, const std::string& where) {
    if (item.kind != Node::Kind::kString || (item.string != "unix:" && !IsBlock(item.string)))
      throw source.document.ErrorAt(
          item.offset, where,
          "expected an address, a block such as \"10.0.0.0/8\", or \"unix:\", got " +
              Describe(item));
    listener.trusted.push_back(item.string);
  });
  object.ReadEnum<Listener::Forwarded>("forwarded", listener.forwarded,
                                       {{"off", Listener::Forwarded::kOff},
                                        {"x-forwarded", Listener::Forwarded::kXForwarded},
                                        {"forwarded", Listener::Forwarded::kForwarded}});
  object.Read("proxy_protocol", listener.proxy_protocol);
  const bool http = listener.protocol == Protocol::kHttp || listener.protocol == Protocol::kHttps;
  for (const char* key : {"trusted", "forwarded", "proxy_protocol"}) {
    if (object.Find(key) == nullptr) continue;
    if (!http)
      object.Refuse(key, "belongs to http and https; a FastCGI or SCGI server names the client");
    if (listener.trusted.empty())
      object.Refuse(key, "needs \"trusted\", the proxies that may say who the client is");
  }
}

}  // namespace

Address SplitAddress(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    if (address.unix_path.empty() || address.unix_path.size() >= sizeof(sockaddr_un::sun_path))
      throw std::invalid_argument("expected the path of a unix socket of 1 to 107 bytes");
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    throw std::invalid_argument("expected HOST:PORT or unix:PATH, got \"" + std::string(text) +
                                "\"");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  address.host = host;
  if (!IsAddress(address.host) || bracketed != (host.find(':') != std::string_view::npos))
    throw std::invalid_argument(
        "expected a numeric address such as 127.0.0.1, 0.0.0.0 or [::1], got \"" +
        std::string(text.substr(0, colon)) + "\"");
  address.port = ParsePort(text.substr(colon + 1));
  return address;
}

Listener ParseListener(std::string_view text) {
  const size_t colon = text.find(':');
  for (const auto& [name, protocol] : kProtocols) {
    if (colon == std::string_view::npos || text.substr(0, colon) != name) continue;
    Address address = SplitAddress(text.substr(colon + 1));
    Listener listener;
    listener.protocol = protocol;
    listener.host = std::move(address.host);
    listener.port = address.port;
    listener.unix_path = std::move(address.unix_path);
    return listener;
  }
  throw std::invalid_argument(
      "expected PROTOCOL:HOST:PORT or PROTOCOL:unix:PATH with fastcgi, http, https or scgi, got "
      "\"" +
      std::string(text) + "\"");
}

std::string FormatListener(const Listener& listener) {
  std::string text;
  for (const auto& [name, protocol] : kProtocols) {
    if (protocol == listener.protocol) text = std::string(name) + ":";
  }
  if (listener.is_unix()) return text + "unix:" + listener.unix_path;
  const bool v6 = listener.host.find(':') != std::string::npos;
  return text + (v6 ? "[" + listener.host + "]" : listener.host) + ":" +
         std::to_string(listener.port);
}

std::string LacksCertificate(const Listener& listener) {
  if (listener.protocol != Protocol::kHttps || listener.tls.has_certificate()) return "";
  return "an https listener needs its certificate: expected {\"address\": ..., \"tls\": "
         "{\"certificate\": FILE, \"key\": FILE}} in a configuration, or --tls-dev with a "
         "directory";
}

std::string LacksAllow(const Listener& listener) {
  const bool believes =
      listener.protocol == Protocol::kFastCgi || listener.protocol == Protocol::kScgi;
  const bool everywhere = listener.host == "0.0.0.0" || listener.host == "::";
  if (!believes || !everywhere || !listener.allow.empty()) return "";
  return "a FastCGI or SCGI listener on all addresses believes whoever connects: expected "
         "{\"address\": ..., \"allow\": [ADDRESS...]}, or an address such as 127.0.0.1";
}

Listener ReadListener(const Source& source, const Node& node, const std::string& pointer) {
  const bool plain = node.kind == Node::Kind::kString;
  const auto parse = [&](const std::string& text, const Node& at, const std::string& where) {
    try {
      Listener listener = ParseListener(text);
      if (listener.is_unix()) listener.unix_path = source.Absolute(listener.unix_path);
      return listener;
    } catch (const std::invalid_argument& error) {
      throw source.document.ErrorAt(at.offset, where, error.what());
    }
  };
  Listener listener;
  if (plain) {
    listener = parse(node.string, node, pointer);
    for (const std::string& reason : {LacksCertificate(listener), LacksAllow(listener)})
      if (!reason.empty()) throw source.document.ErrorAt(node.offset, pointer, reason);
    return listener;
  }
  Object object(source.document, node, pointer);
  std::string address;
  object.Read("address", address);
  if (address.empty())
    object.Refuse("", "needs \"address\", such as \"fastcgi:unix:/run/cogi.sock\"");
  listener = parse(address, *object.Find("address"), object.PointerTo("address"));
  ReadSocketFile(object, listener);
  uint32_t backlog = static_cast<uint32_t>(listener.backlog);
  object.Read("backlog", backlog, 1, 65535);
  listener.backlog = static_cast<int>(backlog);
  object.ForEach("allow", [&](const Node& item, const std::string& where) {
    if (item.kind != Node::Kind::kString || !IsBlock(item.string))
      throw source.document.ErrorAt(
          item.offset, where,
          "expected an address or a block such as \"10.0.0.0/8\", got " + Describe(item));
    listener.allow.push_back(item.string);
  });
  if (listener.is_unix() && !listener.allow.empty())
    object.Refuse("allow", "belongs to TCP; a unix socket is guarded by mode, owner and group");
  ReadProxies(source, object, listener);
  ReadTls(source, object, listener);
  object.Done();
  if (const std::string reason = LacksAllow(listener); !reason.empty())
    object.Refuse("address", reason);
  return listener;
}

}  // namespace cogi::config
