#include "server/upstream/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cgi/fcgi_client.h"
#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"

namespace cogi::server {
namespace {

constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{50};

int ErrnoOf(coroutine::WakeReason reason) {
  if (reason == coroutine::WakeReason::kReady) return 0;
  return reason == coroutine::WakeReason::kTimeout ? ETIMEDOUT : ECANCELED;
}

// What became of a connect() in progress.
int Outcome(int fd, coroutine::Deadline deadline) {
  if (const int error = ErrnoOf(coroutine::WaitFd(fd, EPOLLOUT, deadline))) return error;
  int error = 0;
  socklen_t size = sizeof error;
  if (::syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

int Connect(int fd, const sockaddr_storage& address, socklen_t size, coroutine::Deadline deadline) {
  auto pause = kFirstPause;
  for (;;) {
    if (::syscall(SYS_connect, fd, &address, size) == 0) return 0;
    if (errno == EINPROGRESS) return Outcome(fd, deadline);
    if (errno == EINTR) continue;
    // The queue of a unix socket is full, and nothing tells when it no longer is.
    if (errno != EAGAIN) return errno;
    if (coroutine::After(pause) >= deadline) return ETIMEDOUT;
    if (coroutine::SleepFor(pause) == coroutine::WakeReason::kCancelled) return ECANCELED;
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace

Link::~Link() {
  if (fd) coroutine::ForgetFd(fd.get());
}

int ConnectTo(const sockaddr_storage& address, socklen_t size, coroutine::Deadline deadline,
              UniqueFd* fd) {
  Link made;
  made.fd.Reset(static_cast<int>(
      ::syscall(SYS_socket, address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  if (!made.fd) return errno;
  if (address.ss_family != AF_UNIX) {
    const int on = 1;
    ::syscall(SYS_setsockopt, made.fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (const int error = Connect(made.fd.get(), address, size, deadline)) return error;
  *fd = std::move(made.fd);
  return 0;
}

bool IsStale(int fd) {
  char byte;
  return Real().recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void SendAbort(int fd) {
  std::string record;
  cgi::fcgi::AppendAbortRequest(record, 1);
  iovec piece{record.data(), record.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  static_cast<void>(Real().sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace cogi::server
