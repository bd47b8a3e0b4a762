// Socket addresses: as text, and blocks of them that may connect. Thread-safe. Never yields.
#ifndef COGI_SERVER_ADDRESS_H_
#define COGI_SERVER_ADDRESS_H_

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cogi::server {

// HostOf() is the numeric address without brackets, IPv4-mapped ones as IPv4; "unix:" for a unix
// socket. PortOf() is its port, 0 if it has none.
[[nodiscard]] std::string HostOf(const sockaddr_storage& address);
[[nodiscard]] uint16_t PortOf(const sockaddr_storage& address);

// AddressBlocks is a set of blocks like "10.0.0.0/8", "::1", "192.0.2.7".
class AddressBlocks {
 public:
  // Add() takes one block. Returns false if the text is none.
  [[nodiscard]] bool Add(std::string_view block);
  [[nodiscard]] bool empty() const { return blocks_.empty(); }
  // Contains() is true for addresses of a block, and for unix sockets.
  [[nodiscard]] bool Contains(const sockaddr_storage& address) const;
  // The same for a numeric address without brackets; false for any other text.
  [[nodiscard]] bool Contains(std::string_view address) const;

 private:
  struct Block {
    std::array<uint8_t, 16> address;  // IPv4 as ::ffff:a.b.c.d
    int prefix;                       // bits that count, of 128
  };
  std::vector<Block> blocks_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ADDRESS_H_
