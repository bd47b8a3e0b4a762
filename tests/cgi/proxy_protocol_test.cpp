#include "cgi/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>

namespace cogi::cgi {
namespace {

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string Header2(uint8_t version_command, uint8_t family, const std::string& block) {
  std::string header = kSignature;
  header += {static_cast<char>(version_command), static_cast<char>(family)};
  header += {static_cast<char>(block.size() >> 8), static_cast<char>(block.size() & 0xff)};
  return header + block;
}

const std::string kIpv4("\xc0\0\2\1\xc0\0\2\2\x12\x34\0\x50", 12);
const std::string kIpv6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\1" +
                          std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\2" +
                          std::string("\1\2\3\4", 4);
const std::string kTls("\x20\0\5\1\0\0\0\0", 8);
const std::string kNoTls("\x20\0\5\0\0\0\0\0", 8);

struct Case {
  const char* name;
  std::string bytes;
  ProxyResult result = ProxyResult::kBad;
  const char* source = "";
  uint16_t source_port = 0;
  const char* destination = "";
  uint16_t destination_port = 0;
  bool tls = false;
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

const Case kCases[] = {
    {"Tcp4", "PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n", ProxyResult::kDone, "192.0.2.1", 4660,
     "192.0.2.2", 80},
    {"Tcp6", "PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n", ProxyResult::kDone, "2001:db8::1",
     65535, "2001:db8::2", 0},
    {"Unknown", "PROXY UNKNOWN\r\n", ProxyResult::kDone},
    {"UnknownWithAddresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxyResult::kDone},
    {"OtherFamily", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"},
    {"LowerCase", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
    {"WrongFamily", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"},
    {"LeadingZeroPort", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"},
    {"PortTooLarge", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"},
    {"PortMissing", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"},
    {"TwoSpaces", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"},
    {"TrailingSpace", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"},
    {"HostName", "PROXY TCP4 localhost 192.0.2.2 1 2\r\n"},
    {"NoEnd", "PROXY TCP4 " + std::string(200, '1')},
    {"Http", "GET / HTTP/1.1\r\n\r\n"},
    {"Version2Ipv4", Header2(0x21, 0x11, kIpv4), ProxyResult::kDone, "192.0.2.1", 0x1234,
     "192.0.2.2", 80},
    {"Version2Ipv6", Header2(0x21, 0x21, kIpv6), ProxyResult::kDone, "2001:db8::1", 0x102,
     "2001:db8::2", 0x304},
    {"Version2Tls", Header2(0x21, 0x11, kIpv4 + kTls), ProxyResult::kDone, "192.0.2.1", 0x1234,
     "192.0.2.2", 80, true},
    {"Version2NoTls", Header2(0x21, 0x11, kIpv4 + kNoTls), ProxyResult::kDone, "192.0.2.1", 0x1234,
     "192.0.2.2", 80, false},
    {"Version2OtherVector", Header2(0x21, 0x11, kIpv4 + std::string("\x01\0\2h2", 5)),
     ProxyResult::kDone, "192.0.2.1", 0x1234, "192.0.2.2", 80},
    {"Version2Local", Header2(0x20, 0x11, "whatever"), ProxyResult::kDone},
    {"Version2Unspecified", Header2(0x21, 0x00, ""), ProxyResult::kDone},
    {"Version2Unix", Header2(0x21, 0x31, std::string(216, 'x')), ProxyResult::kDone},
    {"Version2ShortBlock", Header2(0x21, 0x11, kIpv4.substr(1))},
    {"Version2ShortIpv6", Header2(0x21, 0x21, kIpv4)},
    {"Version2CutVector", Header2(0x21, 0x11, kIpv4 + kTls.substr(0, 7))},
    {"Version2CutVectorHead", Header2(0x21, 0x11, kIpv4 + "\x20")},
    {"Version2Version3", Header2(0x31, 0x11, kIpv4)},
    {"Version2Command2", Header2(0x22, 0x11, kIpv4)},
    {"Version2Datagram", Header2(0x21, 0x12, kIpv4)},
    {"Version2Huge", Header2(0x21, 0x11, std::string(5000, '\0'))},
    {"Version2BadSignature", "\r\n\r\nX"},
};

class Proxy : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Cases, Proxy, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Proxy, HeaderIsReadAtAnyLengthThatHasArrived) {
  const Case& test = GetParam();
  ProxyHeader header;
  size_t size = 0;
  std::string bytes = test.bytes + "GET / HTTP/1.1\r\n";
  ProxyResult result = ProxyResult::kMore;
  size_t at = 0;
  for (; at <= bytes.size() && result == ProxyResult::kMore; ++at) {
    result = ParseProxyHeader(bytes.substr(0, at), header, size);
  }
  ASSERT_EQ(result, test.result);
  ASSERT_EQ(ParseProxyHeader(bytes, header, size), test.result);
  if (result != ProxyResult::kDone) return;
  EXPECT_EQ(size, test.bytes.size());
  EXPECT_EQ(at - 1, test.bytes.size()) << "it was done too early or too late";
  EXPECT_EQ(header.has_addresses, *test.source != '\0');
  EXPECT_EQ(header.source_address, test.source);
  EXPECT_EQ(header.source_port, test.source_port);
  EXPECT_EQ(header.destination_address, test.destination);
  EXPECT_EQ(header.destination_port, test.destination_port);
  EXPECT_EQ(header.tls, test.tls);
}

}  // namespace
}  // namespace cogi::cgi
