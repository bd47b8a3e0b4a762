// The load of the echo benchmark: keeps one message of each connection under way.
//   bench_echo_load PORT CONNECTIONS SECONDS   prints how many echoes came back while it measured,
//   after a second of warm-up.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

using Clock = std::chrono::steady_clock;
constexpr char kMessage[64] = "a message of sixty-four bytes, as small ones are in real life";

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    perror("bench_echo_load: connect");
    _exit(1);
  }
  return fd;
}

void Send(int fd) {
  if (write(fd, kMessage, sizeof kMessage) != sizeof kMessage) {
    perror("bench_echo_load: write");
    _exit(1);
  }
}

// Answers every echo with the next message until `end`; returns how many came.
long Run(int epoll, Clock::time_point end) {
  long echoes = 0;
  epoll_event events[256];
  char data[sizeof kMessage];
  while (Clock::now() < end) {
    const int count = epoll_wait(epoll, events, 256, 10);
    for (int i = 0; i < count; ++i) {
      if (read(events[i].data.fd, data, sizeof data) != sizeof data) continue;
      ++echoes;
      Send(events[i].data.fd);
    }
  }
  return echoes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const int epoll = epoll_create1(0);
  for (int i = 0; i < atoi(argv[2]); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = Connect(atoi(argv[1]));
    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    Send(event.data.fd);
  }
  Run(epoll, Clock::now() + std::chrono::seconds(1));
  printf("measuring\n");
  fflush(stdout);
  printf("%ld\n", Run(epoll, Clock::now() + std::chrono::seconds(atoi(argv[3]))));
  return 0;
}
