#include "server/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace cogi::server {
namespace {

sockaddr_storage Address(const char* text, uint16_t port = 0) {
  sockaddr_storage address{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
  } else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
  } else {
    address.ss_family = AF_UNIX;
  }
  return address;
}

TEST(Address, IsWrittenNumerically) {
  EXPECT_EQ(HostOf(Address("127.0.0.1", 80)), "127.0.0.1");
  EXPECT_EQ(PortOf(Address("127.0.0.1", 8080)), 8080);
  EXPECT_EQ(HostOf(Address("::1")), "::1");
  EXPECT_EQ(HostOf(Address("::ffff:10.1.2.3")), "10.1.2.3");
  EXPECT_EQ(HostOf(Address("unix")), "unix:");
  EXPECT_EQ(PortOf(Address("unix")), 0);
}

TEST(AddressBlocks, ContainWhatTheirPrefixSays) {
  AddressBlocks blocks;
  ASSERT_TRUE(blocks.Add("10.0.0.0/8"));
  ASSERT_TRUE(blocks.Add("192.0.2.7"));
  ASSERT_TRUE(blocks.Add("2001:db8::/33"));
  const struct {
    const char* address;
    bool contained;
  } cases[] = {
      {"10.255.0.1", true},       {"11.0.0.1", false},
      {"192.0.2.7", true},        {"192.0.2.6", false},
      {"2001:db8:7fff::1", true}, {"2001:db8:8000::1", false},
      {"::ffff:10.2.3.4", true},  {"unix", true},
  };
  for (const auto& [address, contained] : cases)
    EXPECT_EQ(blocks.Contains(Address(address)), contained) << address;
}

TEST(AddressBlocks, RefuseWhatIsNone) {
  AddressBlocks blocks;
  for (const char* text : {"", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8x", "::1/129",
                           "10.0.0", "/8", "10.0.0.0/-1"})
    EXPECT_FALSE(blocks.Add(text)) << text;
  EXPECT_TRUE(blocks.empty());
}

}  // namespace
}  // namespace cogi::server
