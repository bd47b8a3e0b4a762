#include "hooks/resolver_sort.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// Scopes as of multicast (RFC 4291): link, site, global.
constexpr int kLinkLocal = 2, kSiteLocal = 5, kGlobal = 14;

struct Candidate {
  HostAddress address;
  bool reachable = false;
  in6_addr destination{}, source{};  // IPv4 as mapped addresses
  int source_bits = 0;               // of the source's network; IPv4
};

in6_addr Mapped(const uint8_t* v4) {
  in6_addr mapped{};
  mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
  memcpy(mapped.s6_addr + 12, v4, 4);
  return mapped;
}

bool InNetwork(const in6_addr& address, const AddressRule& rule) {
  const int whole = rule.bits / 8, rest = rule.bits % 8;
  if (memcmp(address.s6_addr, rule.network.s6_addr, static_cast<size_t>(whole)) != 0) return false;
  return rest == 0 || (address.s6_addr[whole] ^ rule.network.s6_addr[whole]) >> (8 - rest) == 0;
}

int ValueOf(const std::vector<AddressRule>& rules, const in6_addr& address) {
  for (const AddressRule& rule : rules)
    if (InNetwork(address, rule)) return rule.value;
  return 0;
}

int ScopeOf(const in6_addr& address) {
  const uint8_t* bytes = address.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    // libc's table for IPv4: link-local and loopback networks are link-local, all else global.
    return (bytes[12] == 169 && bytes[13] == 254) || bytes[12] == 127 ? kLinkLocal : kGlobal;
  }
  if (IN6_IS_ADDR_MULTICAST(&address)) return bytes[1] & 15;
  if (IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_LOOPBACK(&address)) return kLinkLocal;
  return IN6_IS_ADDR_SITELOCAL(&address) ? kSiteLocal : kGlobal;
}

int CommonBits(const in6_addr& a, const in6_addr& b, int from_byte) {
  int bits = 0;
  for (int i = from_byte; i < 16; ++i, bits += 8) {
    const auto difference = static_cast<uint8_t>(a.s6_addr[i] ^ b.s6_addr[i]);
    if (difference != 0) return bits + std::countl_zero(difference);
  }
  return bits;
}

// The length of the network that a local IPv4 address is in.
int NetworkBits(const in6_addr& source) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return 32;
  int bits = 32;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET ||
        one->ifa_netmask == nullptr)
      continue;
    if (memcmp(&reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr, source.s6_addr + 12, 4) ==
        0)
      bits = std::popcount(reinterpret_cast<sockaddr_in*>(one->ifa_netmask)->sin_addr.s_addr);
  }
  freeifaddrs(all);
  return bits;
}

// Finds the address that the kernel would send from.
void FindSource(Candidate& candidate) {
  const bool v4 = candidate.address.family == AF_INET;
  candidate.destination = v4 ? Mapped(candidate.address.bytes.s6_addr) : candidate.address.bytes;
  const int fd = real::socket(candidate.address.family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_IP);
  if (fd < 0) return;
  sockaddr_storage storage{};
  socklen_t size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  storage.ss_family = static_cast<sa_family_t>(candidate.address.family);
  if (v4)
    memcpy(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr, &candidate.address.bytes, 4);
  else
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr = candidate.address.bytes;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (real::connect(fd, address, size) == 0 && getsockname(fd, address, &size) == 0) {
    candidate.reachable = true;
    candidate.source = v4 ? Mapped(reinterpret_cast<const uint8_t*>(
                                &reinterpret_cast<sockaddr_in*>(&storage)->sin_addr))
                          : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr;
    if (v4) candidate.source_bits = NetworkBits(candidate.source);
  }
  real::close(fd);
}

// Rule 9. IPv4 counts only within the source's own network.
int Prefix(const Candidate& candidate) {
  if (candidate.address.family == AF_INET6)
    return CommonBits(candidate.destination, candidate.source, 0);
  const int bits = CommonBits(candidate.destination, candidate.source, 12);
  return bits >= candidate.source_bits ? bits : 0;
}

// True if `a` is better than `b`.
bool Better(const ResolverConfig& config, const Candidate& a, const Candidate& b) {
  if (a.reachable != b.reachable) return a.reachable;
  const int scope_a = ScopeOf(a.destination), scope_b = ScopeOf(b.destination);
  if (a.reachable) {
    const bool match_a = scope_a == ScopeOf(a.source), match_b = scope_b == ScopeOf(b.source);
    if (match_a != match_b) return match_a;
    const bool label_a = ValueOf(config.labels, a.destination) == ValueOf(config.labels, a.source);
    const bool label_b = ValueOf(config.labels, b.destination) == ValueOf(config.labels, b.source);
    if (label_a != label_b) return label_a;
  }
  const int precedence_a = ValueOf(config.precedences, a.destination);
  const int precedence_b = ValueOf(config.precedences, b.destination);
  if (precedence_a != precedence_b) return precedence_a > precedence_b;
  if (scope_a != scope_b) return scope_a < scope_b;
  if (a.reachable && a.address.family == b.address.family) return Prefix(a) > Prefix(b);
  return false;
}

}  // namespace

void SortAddresses(const ResolverConfig& config, std::vector<HostAddress>& addresses) {
  if (addresses.size() < 2) return;
  std::vector<Candidate> candidates;
  for (const HostAddress& address : addresses) {
    candidates.push_back({address});
    FindSource(candidates.back());
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) { return Better(config, a, b); });
  for (size_t i = 0; i < addresses.size(); ++i) addresses[i] = candidates[i].address;
}

}  // namespace cogi::hooks
