// Two echo servers that do the same: plain blocking calls in a coroutine per connection, and a loop
// on epoll written by hand.   bench_echo_server shared|private|epoll   prints its port and runs
// until it is killed.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "coroutine/scheduler.h"

namespace {

constexpr size_t kBuffer = 4096;

int Listen(int flags) {
  const int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 4096) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    perror("bench_echo_server: listen");
    _exit(1);
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void EchoBlocking(int fd) {
  char data[kBuffer];
  ssize_t got = 0;
  while ((got = read(fd, data, sizeof data)) > 0) {
    if (write(fd, data, static_cast<size_t>(got)) != got) break;
  }
  close(fd);
}

void RunCoroutines(cogi::coroutine::StackMode mode) {
  cogi::coroutine::Scheduler scheduler;
  scheduler.Spawn([mode] {
    const int listener = Listen(0);
    for (;;) {
      const int fd = accept(listener, nullptr, nullptr);
      if (fd < 0) continue;
      NoDelay(fd);
      cogi::coroutine::Go([fd] { EchoBlocking(fd); }, {.stack_mode = mode});
    }
  });
  scheduler.Run();
}

void AcceptAll(int epoll, int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) return;
    NoDelay(fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

// The load keeps one message of a connection under way, so a write always finds room.
void EchoOnce(int fd) {
  char data[kBuffer];
  const ssize_t got = read(fd, data, sizeof data);
  if (got < 0) return;
  if (got == 0 || write(fd, data, static_cast<size_t>(got)) != got) close(fd);
}

void RunEpoll() {
  const int listener = Listen(SOCK_NONBLOCK);
  const int epoll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == listener)
        AcceptAll(epoll, listener);
      else
        EchoOnce(events[i].data.fd);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "shared";
  if (strcmp(how, "epoll") == 0)
    RunEpoll();
  else
    RunCoroutines(strcmp(how, "private") == 0 ? cogi::coroutine::StackMode::kPrivate
                                              : cogi::coroutine::StackMode::kShared);
  return 0;
}
