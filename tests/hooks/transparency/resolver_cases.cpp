// Names, as far as no DNS server is needed: numeric addresses, the hosts file, bad arguments. The
// rest is in tests/hooks/resolver, compared with libc there.
#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>
#include <string>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

Outcome AddressInfo(const char* node, const char* service, int family = AF_UNSPEC, int flags = 0,
                    int type = 0) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_family = family;
  hints.ai_flags = flags;
  hints.ai_socktype = type;
  const int outcome = getaddrinfo(node, service, &hints, &list);
  std::string text = std::to_string(outcome);
  for (const addrinfo* entry = outcome == 0 ? list : nullptr; entry != nullptr;
       entry = entry->ai_next) {
    char host[100] = "", port[20] = "";
    getnameinfo(entry->ai_addr, entry->ai_addrlen, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    text += std::string(" ") + host + ' ' + port + ' ' + std::to_string(entry->ai_protocol);
  }
  if (outcome == 0) freeaddrinfo(list);
  return Result(0, text);
}

TRANSPARENT(getaddrinfo, "localhost") { return AddressInfo("localhost", "80", AF_INET); }
TRANSPARENT(getaddrinfo, "numeric") { return AddressInfo("127.0.0.1", "http"); }
TRANSPARENT(getaddrinfo, "passive") {
  return AddressInfo(nullptr, "8080", AF_UNSPEC, AI_PASSIVE, SOCK_STREAM);
}
TRANSPARENT(getaddrinfo, "no names at all") { return AddressInfo(nullptr, nullptr); }
TRANSPARENT(getaddrinfo, "unknown service") {
  return AddressInfo("localhost", "no-such-service", AF_INET);
}
TRANSPARENT(getaddrinfo, "unknown flags") {
  return AddressInfo("localhost", "80", AF_INET, 0x40000000);
}
TRANSPARENT(getaddrinfo, "unknown family") { return AddressInfo("localhost", "80", AF_UNIX); }
TRANSPARENT(getaddrinfo, "a name where a number is asked") {
  return AddressInfo("localhost", "80", AF_INET, AI_NUMERICHOST);
}

std::string Text(const hostent* host) {
  if (host == nullptr) return "none " + std::to_string(h_errno);
  std::string text = host->h_name;
  for (char** alias = host->h_aliases; *alias != nullptr; ++alias)
    text += std::string(" ") + *alias;
  for (char** address = host->h_addr_list; *address != nullptr; ++address) {
    char digits[INET6_ADDRSTRLEN];
    text += std::string(" ") + inet_ntop(host->h_addrtype, *address, digits, sizeof digits);
  }
  return text;
}

TRANSPARENT(gethostbyname, "localhost") { return Result(0, Text(gethostbyname("localhost"))); }
TRANSPARENT(gethostbyname, "numeric") { return Result(0, Text(gethostbyname("10.1.2.3"))); }
TRANSPARENT(gethostbyname, "a number that is none") {
  return Result(0, Text(gethostbyname("1.2.3.444")));
}
TRANSPARENT(gethostbyname2, "localhost") {
  return Result(0, Text(gethostbyname2("localhost", AF_INET)));
}
TRANSPARENT(gethostbyname2, "numeric IPv6") {
  return Result(0, Text(gethostbyname2("::1", AF_INET6)));
}

Outcome ByName(const char* name, size_t size) {
  hostent host{}, *result = &host;
  char buffer[2048];
  int failure = 0;
  const int outcome = gethostbyname_r(name, &host, buffer, size, &result, &failure);
  return Result(outcome, result == nullptr ? std::to_string(failure) : Text(result));
}
TRANSPARENT(gethostbyname_r, "localhost") { return ByName("localhost", 2048); }
TRANSPARENT(gethostbyname_r, "buffer too small") { return ByName("localhost", 8); }
TRANSPARENT(gethostbyname2_r, "numeric") {
  hostent host{}, *result = nullptr;
  char buffer[2048];
  int failure = 0;
  const int outcome =
      gethostbyname2_r("::1", AF_INET6, &host, buffer, sizeof buffer, &result, &failure);
  return Result(outcome, Text(result));
}

TRANSPARENT(gethostbyaddr, "127.0.0.1") {
  const in_addr address{htonl(INADDR_LOOPBACK)};
  return Result(0, Text(gethostbyaddr(&address, sizeof address, AF_INET)));
}
TRANSPARENT(gethostbyaddr, "bad length") {
  const in_addr address{htonl(INADDR_LOOPBACK)};
  return Result(gethostbyaddr(&address, 3, AF_INET) == nullptr);
}
TRANSPARENT(gethostbyaddr_r, "127.0.0.1") {
  const in_addr address{htonl(INADDR_LOOPBACK)};
  hostent host{}, *result = nullptr;
  char buffer[2048];
  int failure = 0;
  const int outcome = gethostbyaddr_r(&address, sizeof address, AF_INET, &host, buffer,
                                      sizeof buffer, &result, &failure);
  return Result(outcome, Text(result));
}

Outcome NameInfo(int flags, socklen_t room, socklen_t size = sizeof(sockaddr_in)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(443);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char host[100] = "", service[100] = "";
  const int outcome = getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, room, service,
                                  sizeof service, flags);
  return Result(0, std::to_string(outcome) + ' ' + host + ' ' + service);
}
TRANSPARENT(getnameinfo, "127.0.0.1") { return NameInfo(0, 100); }
TRANSPARENT(getnameinfo, "numeric") { return NameInfo(NI_NUMERICHOST | NI_NUMERICSERV, 100); }
TRANSPARENT(getnameinfo, "too small") { return NameInfo(0, 3); }
TRANSPARENT(getnameinfo, "unknown flags") { return NameInfo(0x4000, 100); }
TRANSPARENT(getnameinfo, "short address") { return NameInfo(0, 100, 4); }

}  // namespace
}  // namespace cogi::hooks::transparency
