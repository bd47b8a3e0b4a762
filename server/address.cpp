#include "server/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cogi::server {
namespace {

using Bytes = std::array<uint8_t, 16>;

Bytes Mapped(const in_addr& address) {
  Bytes bytes{};
  bytes[10] = bytes[11] = 0xff;
  std::memcpy(&bytes[12], &address, 4);
  return bytes;
}

bool BytesOf(const sockaddr_storage& address, Bytes& bytes) {
  if (address.ss_family == AF_INET) {
    bytes = Mapped(reinterpret_cast<const sockaddr_in&>(address).sin_addr);
    return true;
  }
  if (address.ss_family == AF_INET6) {
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
    return true;
  }
  return false;
}

bool SamePrefix(const Bytes& a, const Bytes& b, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

}  // namespace

std::string HostOf(const sockaddr_storage& address) {
  Bytes bytes;
  if (!BytesOf(address, bytes)) return "unix:";
  char text[INET6_ADDRSTRLEN] = "";
  const bool is_v4 = SamePrefix(bytes, Mapped(in_addr{}), 96);
  inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? &bytes[12] : bytes.data(), text, sizeof text);
  return text;
}

uint16_t PortOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

bool AddressBlocks::Add(std::string_view block) {
  const size_t slash = block.find('/');
  const std::string host(block.substr(0, slash));
  Block made{};
  int bits = 128;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    made.address = Mapped(v4);
    bits = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), made.address.data()) != 1) {
    return false;
  }
  int prefix = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = block.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), prefix);
    if (error != std::errc() || end != digits.end() || prefix < 0 || prefix > bits) return false;
  }
  made.prefix = prefix + 128 - bits;
  blocks_.push_back(made);
  return true;
}

bool AddressBlocks::Contains(const sockaddr_storage& address) const {
  Bytes bytes;
  if (!BytesOf(address, bytes)) return true;
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return SamePrefix(bytes, block.address, block.prefix);
  });
}

bool AddressBlocks::Contains(std::string_view address) const {
  const std::string text(address);
  sockaddr_storage binary{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(binary);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(binary);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    binary.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    binary.ss_family = AF_INET6;
  } else {
    return false;
  }
  return Contains(binary);
}

}  // namespace cogi::server
