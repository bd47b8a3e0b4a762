#include "cgi/forwarded.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"
#include "cgi/http_target.h"
#include "cgi/request.h"

namespace cogi::cgi {
namespace {

// More hops than any lawful chain has. The nearest count: the farther ones are for the client to
// write.
constexpr size_t kMaxHops = 32;

struct Hop {
  std::string node;  // "for", or an element of X-Forwarded-For
  std::string scheme;
  std::string host;
};

bool IsNumeric(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy) return false;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

// address, address:port, [v6], [v6]:port or a bare v6 address. False if it is none.
bool ParseNode(std::string_view node, std::string& address, uint16_t& port) {
  port = 0;
  std::string_view rest;
  std::string_view host = node;
  if (!node.empty() && node.front() == '[') {
    size_t end = node.find(']');
    if (end == std::string_view::npos) return false;
    host = node.substr(1, end - 1);
    rest = node.substr(end + 1);
  } else if (size_t colon = node.find(':');
             colon != std::string_view::npos && node.rfind(':') == colon) {
    host = node.substr(0, colon);
    rest = node.substr(colon);
  }
  if (!IsNumeric(host)) return false;
  if (!rest.empty()) {
    std::string_view digits = rest.substr(1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (rest.front() != ':' || error != std::errc() || end != digits.data() + digits.size()) {
      port = 0;  // an obfuscated port ("_x") says nothing
    }
  }
  address = host;
  return true;
}

std::string LowerScheme(std::string_view text) {
  if (EqualIgnoringCase(text, "https")) return "https";
  return EqualIgnoringCase(text, "http") ? "http" : "";
}

// The elements of a comma-separated list without quoted strings.
std::vector<std::string_view> Split(std::string_view list) {
  std::vector<std::string_view> elements;
  while (!list.empty()) {
    size_t comma = std::min(list.find(','), list.size());
    elements.push_back(TrimWhitespace(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return elements;
}

// token or quoted-string at the beginning of `text`; taken off it. nullopt: neither.
std::optional<std::string> TakeValue(std::string_view& text) {
  std::string value;
  if (text.empty() || text.front() != '"') {
    size_t end = 0;
    // Addresses are written without quotes, against the grammar, by more than one proxy.
    while (end < text.size() && text[end] != ';' && text[end] != '"') ++end;
    value = TrimWhitespace(text.substr(0, end));
    text.remove_prefix(end);
    return value;
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return value;
    }
    if (text[i] == '\\' && ++i == text.size()) break;
    value.push_back(text[i]);
  }
  return std::nullopt;
}

// Takes the last element off a Forwarded field. It is found from the end, so that what a client has
// left open in front of it (a quote, say) changes nothing.
std::string_view TakeLastElement(std::string_view& field) {
  bool quoted = false;
  size_t at = field.size();
  for (; at > 0; --at) {
    const char c = field[at - 1];
    if (c == ',' && !quoted) break;
    size_t backslashes = 0;
    while (at - 1 > backslashes && field[at - 2 - backslashes] == '\\') ++backslashes;
    if (c == '"' && backslashes % 2 == 0) quoted = !quoted;
  }
  const std::string_view element = field.substr(at);
  field = field.substr(0, at == 0 ? 0 : at - 1);
  return element;
}

// forwarded-element = [ pair ] *( ";" [ pair ] ). False if it is malformed.
bool ParseElement(std::string_view element, Hop& hop) {
  while (!element.empty()) {
    const char next = element.front();
    if (next == ' ' || next == '\t' || next == ';') {
      element.remove_prefix(1);
      continue;
    }
    size_t equals = element.find('=');
    if (equals == std::string_view::npos || !IsToken(element.substr(0, equals))) return false;
    std::string_view name = element.substr(0, equals);
    element.remove_prefix(equals + 1);
    std::optional<std::string> value = TakeValue(element);
    if (!value) return false;
    if (EqualIgnoringCase(name, "for")) hop.node = *value;
    if (EqualIgnoringCase(name, "proto")) hop.scheme = LowerScheme(*value);
    if (EqualIgnoringCase(name, "host")) hop.host = *value;
  }
  return true;
}

// The hops of Forwarded = 1#forwarded-element, the nearest first, up to a malformed one: nothing of
// that or of what lies behind it can be believed.
std::vector<Hop> ParseForwarded(std::string_view field) {
  std::vector<Hop> hops;
  while (!field.empty() && hops.size() < kMaxHops) {
    Hop hop;
    if (!ParseElement(TakeLastElement(field), hop)) break;
    hops.push_back(std::move(hop));
  }
  return hops;
}

// X-Forwarded-Proto and -Host are one value, or a list with an element for each hop, by proxy.
std::string_view ElementFor(const std::vector<std::string_view>& list, size_t hop, size_t hops) {
  if (list.empty()) return {};
  return list.size() == hops ? list[hop] : list.back();
}

// The nearest first, too.
std::vector<Hop> ParseXForwarded(const Request& request) {
  std::vector<std::string_view> nodes = Split(request.Header("X-Forwarded-For"));
  std::vector<std::string_view> schemes = Split(request.Header("X-Forwarded-Proto"));
  std::vector<std::string_view> hosts = Split(request.Header("X-Forwarded-Host"));
  std::vector<Hop> hops;
  for (size_t i = nodes.size(); i-- > 0 && hops.size() < kMaxHops;) {
    hops.push_back({std::string(nodes[i]), LowerScheme(ElementFor(schemes, i, nodes.size())),
                    std::string(ElementFor(hosts, i, nodes.size()))});
  }
  // A proxy that adds no address may still say the scheme and the host.
  if (hops.empty() && (!schemes.empty() || !hosts.empty())) {
    hops.push_back(
        {"", LowerScheme(ElementFor(schemes, 0, 1)), std::string(ElementFor(hosts, 0, 1))});
  }
  return hops;
}

}  // namespace

ForwardedClient FindForwardedClient(const Request& request, std::string_view peer,
                                    ForwardedFields fields, const TrustsProxy& trusts) {
  ForwardedClient client;
  if (!trusts(peer)) return client;
  const std::vector<Hop> hops = fields == ForwardedFields::kForwarded
                                    ? ParseForwarded(request.Header("Forwarded"))
                                    : ParseXForwarded(request);
  for (const Hop& hop : hops) {
    if (!hop.scheme.empty()) client.scheme = hop.scheme;
    if (!hop.host.empty() && IsHostAndPort(hop.host)) client.host = hop.host;
    std::string address;
    uint16_t port = 0;
    if (!ParseNode(hop.node, address, port)) break;
    client.address = address;
    client.port = port;
    if (!trusts(address)) break;
  }
  return client;
}

void ApplyForwarded(const ForwardedClient& client, Request& request) {
  if (!client.address.empty()) {
    request.SetVariable("REMOTE_ADDR", client.address);
    request.SetVariable("REMOTE_HOST", client.address);
    if (client.port != 0) {
      request.SetVariable("REMOTE_PORT", std::to_string(client.port));
    } else {
      request.UnsetVariable("REMOTE_PORT");
    }
  }
  if (!client.scheme.empty()) {
    request.SetVariable("REQUEST_SCHEME", client.scheme);
    request.SetVariable("SERVER_PORT", client.scheme == "https" ? "443" : "80");
    if (client.scheme == "https") {
      request.SetVariable("HTTPS", "on");
    } else {
      request.UnsetVariable("HTTPS");
    }
  }
  if (client.host.empty()) return;
  std::string_view host = HostOf(client.host);
  request.SetVariable("HTTP_HOST", client.host);
  request.SetVariable("SERVER_NAME", host);
  if (client.host.size() > host.size() + 1) {
    request.SetVariable("SERVER_PORT", std::string_view(client.host).substr(host.size() + 1));
  }
}

}  // namespace cogi::cgi
