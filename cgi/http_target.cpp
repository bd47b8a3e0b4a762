#include "cgi/http_target.h"

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

// RFC 3986 3.2.2 reg-name without sub-delims other than those that occur in names: what is left
// out ("," ";" "=" "'" ...) has no place in a host and has been used to smuggle two into one.
bool IsNameCharacter(char c) {
  return IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool IsPort(std::string_view text) {
  if (text.size() > 5) return false;
  unsigned value = 0;
  for (char c : text) {
    if (!IsDigit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

bool IsIpv6(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy) return false;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  in6_addr address;
  return inet_pton(AF_INET6, copy, &address) == 1;
}

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > 255 || text.front() == '.') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!IsNameCharacter(text[i])) return false;
    if (text[i] == '.' && i + 1 < text.size() && text[i + 1] == '.') return false;
  }
  return true;
}

const char* ParseAbsolute(std::string_view rest, HttpTarget& target) {
  target.form = HttpTarget::Form::kAbsolute;
  size_t end = rest.find_first_of("/?");
  target.authority = rest.substr(0, end);
  if (!IsHostAndPort(target.authority)) return "the authority of the request target is not lawful";
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  size_t question = rest.find('?');
  target.path = rest.substr(0, question);
  if (target.path.empty()) target.path = "/";
  if (question != std::string_view::npos) target.query = rest.substr(question + 1);
  return nullptr;
}

bool BeginsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && EqualIgnoringCase(text.substr(0, prefix.size()), prefix);
}

}  // namespace

const char* ParseTarget(std::string_view text, HttpTarget& target) {
  target = {};
  if (text.empty()) return "the request target is empty";
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte == 0x7f) return "the request target has a control character or space";
    if (c == '#') return "the request target has a fragment";
  }
  if (text.front() == '/') {
    size_t question = text.find('?');
    target.path = text.substr(0, question);
    if (question != std::string_view::npos) target.query = text.substr(question + 1);
    return nullptr;
  }
  if (text == "*") {
    target.form = HttpTarget::Form::kAsterisk;
    return nullptr;
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (BeginsWith(text, scheme)) return ParseAbsolute(text.substr(scheme.size()), target);
  }
  if (IsHostAndPort(text) && text.find(':') != std::string_view::npos) {
    target.form = HttpTarget::Form::kAuthority;
    target.authority = text;
    return nullptr;
  }
  return "the request target is neither a path nor an http URI";
}

bool IsHostAndPort(std::string_view text) {
  std::string_view host = HostOf(text);
  std::string_view port = text.substr(host.size());
  if (!port.empty() && (port.front() != ':' || !IsPort(port.substr(1)))) return false;
  if (!host.empty() && host.front() == '[') {
    return host.size() > 2 && host.back() == ']' && IsIpv6(host.substr(1, host.size() - 2));
  }
  return IsName(host);
}

std::string_view HostOf(std::string_view authority) {
  size_t from = 0;
  if (!authority.empty() && authority.front() == '[') {
    size_t bracket = authority.find(']');
    from = bracket == std::string_view::npos ? 0 : bracket;
  }
  return authority.substr(0, authority.find(':', from));
}

}  // namespace cogi::cgi
