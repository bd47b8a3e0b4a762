#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

std::string Text(const char* data, ssize_t size) {
  return std::string(data, size > 0 ? static_cast<size_t>(size) : 0);
}

void SendLater(int fd, int milliseconds, std::string data) {
  Later(milliseconds,
        [fd, data = std::move(data)] { (void)!send(fd, data.data(), data.size(), MSG_NOSIGNAL); });
}

// Sends one piece after the other, from one thread so that they stay in order.
void SendLater(int fd, int milliseconds, std::string first, std::string second) {
  Later(milliseconds, [=] {
    (void)!send(fd, first.data(), first.size(), MSG_NOSIGNAL);
    usleep(20'000);
    (void)!send(fd, second.data(), second.size(), MSG_NOSIGNAL);
  });
}

// Receives everything on a duplicate of `fd` on another thread, after a while.
void DrainLater(int fd, int milliseconds) {
  Later(milliseconds, [own = dup(fd)] {
    char data[4096];
    while (read(own, data, sizeof data) > 0) {
    }
    close(own);
  });
}

// --- recv, recvfrom, recvmsg

TRANSPARENT(recv, "data that is there, data that comes later") {
  Pair pair(SOCK_STREAM);
  if (send(pair.writer(), "now", 3, 0) != 3) return {};
  char data[8];
  const ssize_t now = recv(pair.reader(), data, sizeof data, 0);
  SendLater(pair.writer(), 20, "later");
  const ssize_t later = recv(pair.reader(), data, sizeof data, 0);
  return Result(now * 10 + later, Text(data, later));
}
TRANSPARENT(recv, "MSG_DONTWAIT") {
  Pair pair(SOCK_STREAM);
  char data;
  return Result(recv(pair.reader(), &data, 1, MSG_DONTWAIT));
}
TRANSPARENT(recv, "MSG_PEEK, then the data") {
  Pair pair(SOCK_STREAM);
  SendLater(pair.writer(), 20, "abc");
  char data[8];
  const ssize_t peeked = recv(pair.reader(), data, sizeof data, MSG_PEEK);
  const ssize_t got = recv(pair.reader(), data, sizeof data, 0);
  return Result(peeked * 10 + got, Text(data, got));
}
TRANSPARENT(recv, "MSG_WAITALL waits for all of it") {
  Pair pair(SOCK_STREAM);
  SendLater(pair.writer(), 10, "abc", "defgh");
  char data[8];
  const ssize_t got = recv(pair.reader(), data, sizeof data, MSG_WAITALL);
  return Result(got, Text(data, got));
}
TRANSPARENT(recv, "MSG_WAITALL ends at the end") {
  Pair pair(SOCK_STREAM);
  SendLater(pair.writer(), 10, "abc");
  Later(30, [fd = pair.writer()] { shutdown(fd, SHUT_WR); });
  char data[8];
  const ssize_t got = recv(pair.reader(), data, sizeof data, MSG_WAITALL);
  return Result(got, Text(data, got));
}
TRANSPARENT(recv, "MSG_WAITALL after SO_RCVTIMEO gives what there is") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 40);
  SendLater(pair.writer(), 5, "abc");
  char data[8];
  const ssize_t got = recv(pair.reader(), data, sizeof data, MSG_WAITALL);
  return Result(got, Text(data, got));
}
TRANSPARENT(recv, "MSG_PEEK with MSG_WAITALL") {
  Listener listener;
  listener.ConnectLater(0, "abc", 60);
  const Fd peer(accept(listener.fd(), nullptr, nullptr));
  char data[3];
  const ssize_t got = recv(peer, data, sizeof data, MSG_PEEK | MSG_WAITALL);
  return Result(got, Text(data, got));
}
TRANSPARENT(recv, "SO_RCVTIMEO passes") {
  Pair pair(SOCK_DGRAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 20);
  char data;
  return Result(recv(pair.reader(), &data, 1, 0));
}
TRANSPARENT(recv, "half a close: what was sent, then the end, for ever") {
  Pair pair(SOCK_STREAM);
  if (send(pair.writer(), "abc", 3, 0) != 3) return {};
  shutdown(pair.writer(), SHUT_WR);
  char data[8];
  const ssize_t first = recv(pair.reader(), data, sizeof data, 0);
  const ssize_t second = recv(pair.reader(), data, sizeof data, 0);
  const ssize_t third = recv(pair.reader(), data, sizeof data, 0);
  return Result(first * 100 + second * 10 + third);
}
TRANSPARENT(recv, "an own shutdown wakes the reader") {
  Pair pair(SOCK_STREAM);
  Later(20, [fd = pair.reader()] { shutdown(fd, SHUT_RD); });
  char data;
  return Result(recv(pair.reader(), &data, 1, 0));
}
TRANSPARENT(recv, "no socket, no descriptor, not connected") {
  Pair pair;
  const Fd lonely(socket(AF_INET, SOCK_STREAM, 0));
  char data;
  const long pipe = Result(recv(pair.reader(), &data, 1, 0)).error;
  const long closed = Result(recv(kClosedFd, &data, 1, 0)).error;
  const long unconnected = Result(recv(lonely, &data, 1, 0)).error;
  return {pipe * 1'000'000 + closed * 1000 + unconnected, 0, ""};
}
TRANSPARENT(recv, "a datagram to a port where nobody listens, then silence") {
  Fd socket_fd(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  {
    Listener listener;  // a TCP port; the UDP port of that number is free
    address = listener.address();
  }
  if (connect(socket_fd, Address(address), sizeof address) != 0) return {};
  SetTimeout(socket_fd, SO_RCVTIMEO, 100);
  (void)!send(socket_fd, "x", 1, 0);
  char data;
  const Outcome refused = Result(recv(socket_fd, &data, 1, 0));
  SetTimeout(socket_fd, SO_RCVTIMEO, 20);
  const Outcome silence = Result(recv(socket_fd, &data, 1, 0));
  return {refused.error * 1000 + silence.error, 0, ""};
}
TRANSPARENT(recvfrom, "the sender's address") {
  const Fd a(socket(AF_INET, SOCK_DGRAM, 0)), b(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(a, Address(address), sizeof address);
  socklen_t size = sizeof address;
  getsockname(a, reinterpret_cast<sockaddr*>(&address), &size);
  Later(20, [fd = static_cast<int>(b), address] {
    sendto(fd, "hello", 5, 0, Address(address), sizeof address);
  });
  char data[8];
  sockaddr_in from{};
  size = sizeof from;
  const ssize_t got = recvfrom(a, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &size);
  return Result(got, Text(data, got) + std::to_string(size) + std::to_string(from.sin_family));
}
TRANSPARENT(recvfrom, "SO_RCVTIMEO, MSG_TRUNC, and no address wanted") {
  Pair pair(SOCK_DGRAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 20);
  char data[2];
  const long timeout = Result(recvfrom(pair.reader(), data, 2, 0, nullptr, nullptr)).error;
  if (send(pair.writer(), "abcdef", 6, 0) != 6) return {};
  return Result(recvfrom(pair.reader(), data, 2, MSG_TRUNC, nullptr, nullptr) * 100 + timeout);
}
TRANSPARENT(recvmsg, "a descriptor over a unix socket") {
  Pair pair(SOCK_STREAM);
  Later(20, [fd = pair.writer()] {
    char byte = 'x';
    iovec piece{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    sendmsg(fd, &message, 0);
  });
  char data[4];
  iovec piece{data, sizeof data};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(pair.reader(), &message, MSG_CMSG_CLOEXEC);
  int passed = -1;
  if (cmsghdr* header = CMSG_FIRSTHDR(&message)) memcpy(&passed, CMSG_DATA(header), sizeof passed);
  const Fd own(passed);
  return Result(got, std::to_string(message.msg_flags) + (passed >= 0 ? " fd" : " none") +
                         std::to_string(fcntl(own, F_GETFL) & O_NONBLOCK));
}
TRANSPARENT(recvmsg, "MSG_WAITALL over several pieces") {
  Pair pair(SOCK_STREAM);
  SendLater(pair.writer(), 10, "abc", "defg");
  char one[2], two[5];
  iovec pieces[] = {{one, 2}, {two, 5}};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 2;
  const ssize_t got = recvmsg(pair.reader(), &message, MSG_WAITALL);
  return Result(got, Text(one, 2) + "," + Text(two, 5));
}
TRANSPARENT(recvmsg, "null message, no socket, empty error queue") {
  Pair pair(SOCK_STREAM), pipe;
  const Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
  msghdr* nothing = nullptr;
  msghdr message{};
  const long null = Result(recvmsg(pair.reader(), nothing, 0)).error;
  const long no_socket = Result(recvmsg(pipe.reader(), &message, 0)).error;
  const long queue = Result(recvmsg(udp, &message, MSG_ERRQUEUE)).error;
  return {null * 1'000'000 + no_socket * 1000 + queue, 0, ""};
}

// --- send, sendto, sendmsg

TRANSPARENT(send, "a megabyte, drained slowly") {
  Pair pair(SOCK_STREAM);
  DrainLater(pair.reader(), 20);
  const std::string data(1 << 20, 'x');
  const ssize_t put = send(pair.writer(), data.data(), data.size(), MSG_NOSIGNAL);
  shutdown(pair.writer(), SHUT_WR);
  return Result(put);
}
TRANSPARENT(send, "ten megabytes over TCP, drained slowly") {
  Listener listener;
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(client, Address(listener.address()), sizeof(sockaddr_in)) != 0) return {};
  const Fd peer(accept(listener.fd(), nullptr, nullptr));
  DrainLater(peer, 20);
  const std::string data(10 << 20, 'x');
  const ssize_t put = send(client, data.data(), data.size(), 0);
  shutdown(client, SHUT_WR);
  return Result(put);
}
TRANSPARENT(send, "MSG_DONTWAIT gives a part, then EAGAIN") {
  Pair pair(SOCK_STREAM);
  const std::string data(1 << 22, 'x');
  const ssize_t part = send(pair.writer(), data.data(), data.size(), MSG_DONTWAIT);
  const Outcome full = Result(send(pair.writer(), data.data(), data.size(), MSG_DONTWAIT));
  return {full.result, full.error, part > 0 ? "part" : "none"};
}
TRANSPARENT(send, "SO_SNDTIMEO") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.writer(), SO_SNDTIMEO, 20);
  const std::string data(1 << 22, 'x');
  const ssize_t part = send(pair.writer(), data.data(), data.size(), 0);
  const Outcome full = Result(send(pair.writer(), data.data(), data.size(), 0));
  return {full.result, full.error, part > 0 ? "part" : "none"};
}
TRANSPARENT(send, "a peer that has gone, no socket, not connected, after shutdown") {
  Pair gone(SOCK_STREAM), pipe, shut(SOCK_STREAM);
  gone.CloseReader();
  shutdown(shut.writer(), SHUT_WR);
  const Fd lonely(socket(AF_INET, SOCK_STREAM, 0));
  const long epipe = Result(send(gone.writer(), "x", 1, MSG_NOSIGNAL)).error;
  const long no_socket = Result(send(pipe.writer(), "x", 1, 0)).error;
  const long unconnected = Result(send(lonely, "x", 1, MSG_NOSIGNAL)).error;
  const long after = Result(send(shut.writer(), "x", 1, MSG_NOSIGNAL)).error;
  return {epipe * 1'000'000'000 + no_socket * 1'000'000 + unconnected * 1000 + after, 0, ""};
}
TRANSPARENT(send, "datagrams until the receiver is full, who then reads") {
  Pair pair(SOCK_DGRAM);
  constexpr int kCount = 1000;  // more than any queue of datagrams or send buffer holds
  Later(20, [fd = dup(pair.reader())] {
    char data[8];
    for (int i = 0; i < kCount; ++i) {
      if (read(fd, data, sizeof data) < 0) break;
    }
    close(fd);
  });
  long sent = 0;
  for (int i = 0; i < kCount; ++i) sent += send(pair.writer(), "message", 7, 0);
  return Result(sent);
}
TRANSPARENT(sendto, "an address, and no such address family") {
  const Fd a(socket(AF_INET, SOCK_DGRAM, 0)), b(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(a, Address(address), sizeof address);
  socklen_t size = sizeof address;
  getsockname(a, reinterpret_cast<sockaddr*>(&address), &size);
  const ssize_t put = sendto(b, "hello", 5, 0, Address(address), sizeof address);
  char data[8];
  const ssize_t got = recv(a, data, sizeof data, 0);
  address.sin_family = AF_UNIX;
  const Outcome wrong = Result(sendto(b, "x", 1, 0, Address(address), sizeof address));
  return {wrong.result, wrong.error, std::to_string(put * 10 + got)};
}
TRANSPARENT(sendto, "closed, and without an address") {
  const Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
  const long closed = Result(sendto(kClosedFd, "x", 1, 0, nullptr, 0)).error;
  const long nowhere = Result(sendto(udp, "x", 1, 0, nullptr, 0)).error;
  return {closed * 1000 + nowhere, 0, ""};
}
TRANSPARENT(sendmsg, "pieces of two megabytes, drained slowly") {
  Pair pair(SOCK_STREAM);
  DrainLater(pair.reader(), 20);
  std::string one(700'000, 'a'), two(3, 'b'), three(1'300'000, 'c');
  iovec pieces[] = {
      {one.data(), one.size()}, {two.data(), two.size()}, {three.data(), three.size()}};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 3;
  const ssize_t put = sendmsg(pair.writer(), &message, MSG_NOSIGNAL);
  shutdown(pair.writer(), SHUT_WR);
  return Result(put);
}
TRANSPARENT(sendmsg, "null message, too many pieces, closed") {
  Pair pair(SOCK_STREAM);
  const msghdr* nothing = nullptr;
  char byte = 'x';
  iovec piece{&byte, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 5000;
  const long null = Result(sendmsg(pair.writer(), nothing, 0)).error;
  const long many = Result(sendmsg(pair.writer(), &message, 0)).error;
  message.msg_iovlen = 1;
  const long closed = Result(sendmsg(kClosedFd, &message, 0)).error;
  return {null * 1'000'000 + many * 1000 + closed, 0, ""};
}

// --- making sockets

TRANSPARENT(socket, "flags as the program asked") {
  const Fd plain(socket(AF_INET, SOCK_STREAM, 0));
  const Fd flagged(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return Result(fcntl(plain, F_GETFL), std::to_string(fcntl(flagged, F_GETFL)) + " " +
                                           std::to_string(fcntl(plain, F_GETFD)) +
                                           std::to_string(fcntl(flagged, F_GETFD)));
}
TRANSPARENT(socket, "no such family, no such type") {
  const long family = Result(socket(4711, SOCK_STREAM, 0)).error;
  const long type = Result(socket(AF_INET, 99, 0)).error;
  return {family * 1000 + type, 0, ""};
}
TRANSPARENT(socketpair, "both ends block") {
  Pair pair(SOCK_STREAM);
  return Result(fcntl(pair.reader(), F_GETFL), std::to_string(fcntl(pair.writer(), F_GETFL)));
}
TRANSPARENT(socketpair, "null, and a family that has none") {
  int* nowhere = nullptr;
  int ends[2];
  const long null = Result(socketpair(AF_UNIX, SOCK_STREAM, 0, nowhere)).error;
  const long family = Result(socketpair(AF_INET, SOCK_STREAM, 0, ends)).error;
  return {null * 1000 + family, 0, ""};
}
TRANSPARENT(accept, "a connection that comes later") {
  Listener listener;
  listener.ConnectLater(20, "hello");
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const Fd peer(accept(listener.fd(), reinterpret_cast<sockaddr*>(&from), &size));
  char data[8];
  const ssize_t got = read(peer, data, sizeof data);
  return Result(got, Text(data, got) + std::to_string(fcntl(peer, F_GETFL)) + std::to_string(size) +
                         std::to_string(from.sin_addr.s_addr));
}
TRANSPARENT(accept, "SO_RCVTIMEO passes, and is inherited") {
  Listener listener;
  SetTimeout(listener.fd(), SO_RCVTIMEO, 20);
  const Outcome timeout = Result(accept(listener.fd(), nullptr, nullptr));
  listener.ConnectLater(0, "", 100);
  SetTimeout(listener.fd(), SO_RCVTIMEO, 40);
  const Fd peer(accept(listener.fd(), nullptr, nullptr));
  char data;
  const Outcome inherited = Result(recv(peer, &data, 1, 0));
  return {timeout.error * 1000 + inherited.error, 0, ""};
}
TRANSPARENT(accept, "non-blocking, no listener, no socket, closed") {
  Listener listener;
  SetNonblocking(listener.fd());
  const Fd lonely(socket(AF_INET, SOCK_STREAM, 0));
  Pair pipe, connected(SOCK_STREAM);
  std::string errors;
  for (const int fd :
       {listener.fd(), static_cast<int>(lonely), pipe.reader(), connected.reader(), kClosedFd, -1})
    errors += std::to_string(Result(accept(fd, nullptr, nullptr)).error) + " ";
  return {0, 0, errors};
}
TRANSPARENT(accept4, "flags, and flags that do not exist") {
  Listener listener;
  listener.ConnectLater(10);
  const Fd peer(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const int flags = fcntl(peer, F_GETFL), descriptor_flags = fcntl(peer, F_GETFD);
  const Outcome wrong = Result(accept4(listener.fd(), nullptr, nullptr, 1 << 20));
  return {wrong.result, wrong.error,
          std::to_string(flags) + " " + std::to_string(descriptor_flags)};
}
TRANSPARENT(connect, "a listener, then again") {
  Listener listener;
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const int first = connect(client, Address(listener.address()), sizeof(sockaddr_in));
  const Outcome second = Result(connect(client, Address(listener.address()), sizeof(sockaddr_in)));
  return {second.result, second.error, std::to_string(first)};
}
TRANSPARENT(connect, "a port where nobody listens, then one where somebody does") {
  sockaddr_in nobody{};
  {
    Listener gone;
    nobody = gone.address();
  }
  Listener listener;
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const Outcome refused = Result(connect(client, Address(nobody), sizeof nobody));
  const Outcome then = Result(connect(client, Address(listener.address()), sizeof(sockaddr_in)));
  return {refused.error * 1000 + then.error, 0, std::to_string(then.result)};
}
TRANSPARENT(connect, "SO_SNDTIMEO passes while the backlog is full") {
  Listener listener(0);
  Fd fill[4] = {Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
                Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
                Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
                Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0))};
  for (const Fd& one : fill) (void)!connect(one, Address(listener.address()), sizeof(sockaddr_in));
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  SetTimeout(client, SO_SNDTIMEO, 30);
  const Outcome first = Result(connect(client, Address(listener.address()), sizeof(sockaddr_in)));
  const Outcome second = Result(connect(client, Address(listener.address()), sizeof(sockaddr_in)));
  return {first.error * 1000 + second.error, 0, std::to_string(fcntl(client, F_GETFL))};
}
TRANSPARENT(connect, "non-blocking") {
  Listener listener;
  const Fd client(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  return Result(connect(client, Address(listener.address()), sizeof(sockaddr_in)));
}
TRANSPARENT(connect, "a unix backlog that is full, with SO_SNDTIMEO, and with room later") {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "cogi-transparency-" + std::to_string(getpid());
  memcpy(address.sun_path + 1, name.data(), name.size());  // abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  const Fd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  if (bind(listener, at, size) != 0 || listen(listener, 0) != 0) return Result(-1);
  const Fd one(socket(AF_UNIX, SOCK_STREAM, 0)), two(socket(AF_UNIX, SOCK_STREAM, 0));
  const int first = connect(one, at, size);
  SetTimeout(two, SO_SNDTIMEO, 30);
  const Outcome full = Result(connect(two, at, size));
  Later(30, [fd = static_cast<int>(listener)] { close(accept(fd, nullptr, nullptr)); });
  SetTimeout(two, SO_SNDTIMEO, 0);
  const int later = connect(two, at, size);
  return {full.result, full.error, std::to_string(first) + std::to_string(later)};
}
TRANSPARENT(connect, "bad arguments") {
  const Fd client(socket(AF_INET, SOCK_STREAM, 0)), local(socket(AF_UNIX, SOCK_STREAM, 0));
  Pair pipe;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  sockaddr_un nowhere{};
  nowhere.sun_family = AF_UNIX;
  strcpy(nowhere.sun_path, "/nonexistent/socket");
  const sockaddr* null = nullptr;
  std::string errors;
  errors += std::to_string(Result(connect(client, Address(address), 3)).error) + " ";
  errors += std::to_string(Result(connect(client, null, 16)).error) + " ";
  errors += std::to_string(Result(connect(pipe.reader(), Address(address), 16)).error) + " ";
  errors += std::to_string(Result(connect(kClosedFd, Address(address), 16)).error) + " ";
  errors += std::to_string(
      Result(connect(local, reinterpret_cast<sockaddr*>(&nowhere), sizeof nowhere)).error);
  return {0, 0, errors};
}
TRANSPARENT(shutdown, "each way, not connected, bad") {
  Pair pair(SOCK_STREAM), pipe;
  const Fd lonely(socket(AF_INET, SOCK_STREAM, 0));
  std::string results = std::to_string(shutdown(pair.writer(), SHUT_WR)) + " ";
  results += std::to_string(Result(shutdown(lonely, SHUT_RDWR)).error) + " ";
  results += std::to_string(Result(shutdown(pipe.reader(), SHUT_RD)).error) + " ";
  results += std::to_string(Result(shutdown(pair.reader(), 99)).error) + " ";
  results += std::to_string(Result(shutdown(kClosedFd, SHUT_RD)).error);
  return {0, 0, results};
}
TRANSPARENT(setsockopt, "timeouts: microseconds, out of range, negative") {
  Pair pair(SOCK_STREAM);
  std::string results;
  for (const timeval time :
       {timeval{0, 1'000'000}, timeval{0, -1}, timeval{-1, 0}, timeval{0, 1}}) {
    const Outcome set =
        Result(setsockopt(pair.reader(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    results += std::to_string(set.error) + " ";
  }
  char data;
  const Outcome timeout = Result(recv(pair.reader(), &data, 1, 0));
  return {timeout.result, timeout.error, results};
}
TRANSPARENT(setsockopt, "a negative timeout does not wait") {
  Pair pair(SOCK_STREAM);
  const timeval time{-5, 0};
  setsockopt(pair.reader(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  char data;
  return Result(recv(pair.reader(), &data, 1, 0));
}
TRANSPARENT(setsockopt, "a timeout of zero waits for ever") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 10);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 0);
  Later(40, [fd = pair.writer()] { (void)!write(fd, "x", 1); });
  char data;
  return Result(recv(pair.reader(), &data, 1, 0));
}
TRANSPARENT(setsockopt, "short value, null value, no socket") {
  Pair pair(SOCK_STREAM), pipe;
  const timeval time{1, 0};
  const void* null = nullptr;
  const long small = Result(setsockopt(pair.reader(), SOL_SOCKET, SO_RCVTIMEO, &time, 4)).error;
  const long nothing = Result(setsockopt(pair.reader(), SOL_SOCKET, SO_RCVTIMEO, null, 16)).error;
  const long no_socket =
      Result(setsockopt(pipe.reader(), SOL_SOCKET, SO_RCVTIMEO, &time, 16)).error;
  return {small * 1'000'000 + nothing * 1000 + no_socket, 0, ""};
}
TRANSPARENT(getsockopt, "timeouts and type") {
  Pair pair(SOCK_STREAM);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 1500);
  timeval time{};
  socklen_t size = sizeof time;
  const int result = getsockopt(pair.reader(), SOL_SOCKET, SO_RCVTIMEO, &time, &size);
  int type = 0;
  socklen_t type_size = sizeof type;
  getsockopt(pair.reader(), SOL_SOCKET, SO_TYPE, &type, &type_size);
  const Outcome closed = Result(getsockopt(kClosedFd, SOL_SOCKET, SO_TYPE, &type, &type_size));
  return {closed.result, closed.error,
          std::to_string(result) + " " + std::to_string(time.tv_sec) + "." +
              std::to_string(time.tv_usec) + " " + std::to_string(type)};
}

}  // namespace
}  // namespace cogi::hooks::transparency
