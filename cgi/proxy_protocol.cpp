#include "cgi/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cogi::cgi {
namespace {

constexpr std::string_view kSignature1 = "PROXY ";
constexpr size_t kMaxLine1 = 107;  // its CRLF included

constexpr std::string_view kSignature2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr size_t kHeader2 = 12 + 1 + 1 + 2;  // signature, version and command, family, length
constexpr size_t kIpv4Block = 4 + 4 + 2 + 2;
constexpr size_t kIpv6Block = 16 + 16 + 2 + 2;
constexpr size_t kUnixBlock = 108 + 108;
constexpr uint8_t kTypeSsl = 0x20;
constexpr uint8_t kClientSsl = 0x01;

// True if `bytes` is the beginning of `whole`, or begins with it.
bool MayBegin(std::string_view bytes, std::string_view whole) {
  size_t size = std::min(bytes.size(), whole.size());
  return bytes.substr(0, size) == whole.substr(0, size);
}

bool IsAddress(int family, std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy) return false;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(family, copy, address) == 1;
}

bool ParsePort(std::string_view text, uint16_t& port) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

// The next word of a line whose words have one space between them.
std::string_view TakeWord(std::string_view& line) {
  size_t space = std::min(line.find(' '), line.size());
  std::string_view word = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  return word;
}

bool ParseLine1(std::string_view line, ProxyHeader& header) {
  line.remove_prefix(kSignature1.size());
  std::string_view family = TakeWord(line);
  if (family == "UNKNOWN") return true;  // what follows means nothing
  if (family != "TCP4" && family != "TCP6") return false;
  int af = family == "TCP4" ? AF_INET : AF_INET6;
  std::string_view source = TakeWord(line), destination = TakeWord(line);
  std::string_view source_port = TakeWord(line);
  if (!IsAddress(af, source) || !IsAddress(af, destination) ||
      !ParsePort(source_port, header.source_port) || !ParsePort(line, header.destination_port)) {
    return false;
  }
  header.source_address = source;
  header.destination_address = destination;
  header.has_addresses = true;
  return true;
}

ProxyResult Parse1(std::string_view bytes, ProxyHeader& header, size_t& size) {
  size_t end = bytes.substr(0, kMaxLine1).find("\r\n");
  if (end == std::string_view::npos) {
    return bytes.size() < kMaxLine1 ? ProxyResult::kMore : ProxyResult::kBad;
  }
  size = end + 2;
  return ParseLine1(bytes.substr(0, end), header) ? ProxyResult::kDone : ProxyResult::kBad;
}

uint16_t Number16(std::string_view bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

std::string AddressText(int family, std::string_view address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, address.data(), text, sizeof text);
  return text;
}

// The block of an address family: source, destination, their ports.
void TakeAddresses(int family, std::string_view block, size_t width, ProxyHeader& header) {
  header.has_addresses = true;
  header.source_address = AddressText(family, block.substr(0, width));
  header.destination_address = AddressText(family, block.substr(width, width));
  header.source_port = Number16(block.substr(2 * width));
  header.destination_port = Number16(block.substr(2 * width + 2));
}

// The type-length-value vectors behind the addresses. Unknown ones are skipped; false if they do
// not fill the header exactly.
bool ParseVectors(std::string_view vectors, ProxyHeader& header) {
  while (!vectors.empty()) {
    if (vectors.size() < 3) return false;
    auto type = static_cast<uint8_t>(vectors[0]);
    size_t length = Number16(vectors.substr(1));
    vectors.remove_prefix(3);
    if (length > vectors.size()) return false;
    if (type == kTypeSsl && length >= 5) {
      header.tls = (static_cast<uint8_t>(vectors[0]) & kClientSsl) != 0;
    }
    vectors.remove_prefix(length);
  }
  return true;
}

ProxyResult Parse2(std::string_view bytes, ProxyHeader& header, size_t& size) {
  if (bytes.size() < kHeader2) return ProxyResult::kMore;
  auto version_command = static_cast<uint8_t>(bytes[12]);
  auto family = static_cast<uint8_t>(bytes[13]);
  size_t length = Number16(bytes.substr(14));
  size = kHeader2 + length;
  if (version_command >> 4 != 2 || (version_command & 0xf) > 1 || size > kMaxProxyHeader) {
    return ProxyResult::kBad;
  }
  if (bytes.size() < size) return ProxyResult::kMore;
  if ((version_command & 0xf) == 0) return ProxyResult::kDone;  // LOCAL: the rest means nothing
  std::string_view block = bytes.substr(kHeader2, length);
  size_t used = 0;
  switch (family) {
    case 0x11:  // TCP over IPv4
      used = kIpv4Block;
      break;
    case 0x21:  // TCP over IPv6
      used = kIpv6Block;
      break;
    case 0x31:  // unix stream: no address that a program could use
      used = kUnixBlock;
      break;
    case 0x00:  // unspecified
      return ProxyResult::kDone;
    default:
      return ProxyResult::kBad;
  }
  if (block.size() < used) return ProxyResult::kBad;
  if (family == 0x11) TakeAddresses(AF_INET, block, 4, header);
  if (family == 0x21) TakeAddresses(AF_INET6, block, 16, header);
  return ParseVectors(block.substr(used), header) ? ProxyResult::kDone : ProxyResult::kBad;
}

}  // namespace

ProxyResult ParseProxyHeader(std::string_view bytes, ProxyHeader& header, size_t& size) {
  header = {};
  size = 0;
  if (bytes.empty()) return ProxyResult::kMore;
  if (MayBegin(bytes, kSignature1)) {
    return bytes.size() < kSignature1.size() ? ProxyResult::kMore : Parse1(bytes, header, size);
  }
  if (MayBegin(bytes, kSignature2)) return Parse2(bytes, header, size);
  return ProxyResult::kBad;
}

}  // namespace cogi::cgi
