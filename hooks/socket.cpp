// Making sockets and connections: socket(), socketpair(), accept(), connect(), shutdown(), and the
// options.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"

namespace cogi::hooks {
namespace {

NewFd NewSocket(int domain, int type) {
  NewFd made;
  made.kind =
      (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM ? FdKind::kStream : FdKind::kMessage;
  made.unix_socket = domain == AF_UNIX;
  made.nonblocking = (type & SOCK_NONBLOCK) != 0;
  made.hidden = true;
  return made;
}

bool Listens(int fd) {
  int listens = 0;
  socklen_t size = sizeof listens;
  return real::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// A listener that may be shared with other processes keeps its flags: it is asked only when a
// connection is there. (Another process may take that one; then this thread waits for the next.)
int AcceptShared(int fd, sockaddr* address, socklen_t* length, int flags) {
  if (!ReadyNow(fd, POLLIN) && Listens(fd)) {
    errno = EAGAIN;
    return -1;
  }
  return real::accept4(fd, address, length, flags);
}

int AcceptInside(int fd, sockaddr* address, socklen_t* length, int flags) {
  Description* listener = FdTable::Get(fd);
  const int kernel_flags = flags | SOCK_NONBLOCK;
  if (listener == nullptr || !listener->socket())
    return Direct([&] { return real::accept4(fd, address, length, kernel_flags); });
  NewFd made = NewSocket(listener->unix_socket() ? AF_UNIX : AF_UNSPEC,
                         (listener->kind() == FdKind::kStream ? SOCK_STREAM : SOCK_SEQPACKET) |
                             (flags & SOCK_NONBLOCK));
  const int64_t receive_timeout = listener->receive_timeout();
  const int64_t send_timeout = listener->send_timeout();
  int accepted = -1;
  if (listener->PassesThrough()) {
    accepted = real::accept4(fd, address, length, kernel_flags);
  } else {
    FdWait wait(fd, EPOLLIN, receive_timeout);
    accepted = UntilReady(wait, [&] {
      return listener->hidden() ? real::accept4(fd, address, length, kernel_flags)
                                : AcceptShared(fd, address, length, kernel_flags);
    });
  }
  if (accepted < 0) return -1;
  const int number = Made(accepted, made);
  // The kernel lets a connection inherit them.
  if (Description* connection = FdTable::Find(accepted)) {
    connection->set_receive_timeout(receive_timeout);
    connection->set_send_timeout(send_timeout);
  }
  if (Hooked()) coroutine::ChargeCall();
  return number;
}

int SetNonblocking(int fd, bool on) {
  const auto flags = static_cast<intptr_t>(real::fcntl(fd, F_GETFL, nullptr));
  const intptr_t wanted = on ? flags | O_NONBLOCK : flags & ~intptr_t{O_NONBLOCK};
  return real::fcntl(fd, F_SETFL, reinterpret_cast<void*>(wanted));
}

// connect(2) has no flag for one call. A description that is not ours to change is made
// non-blocking for the length of the system call.
int ConnectOnce(int fd, const Description& description, const sockaddr* address, socklen_t length) {
  if (description.hidden()) return real::connect(fd, address, length);
  if (SetNonblocking(fd, true) != 0) return -1;
  const int result = real::connect(fd, address, length);
  const int error = errno;
  if (SetNonblocking(fd, false) != 0) return -1;
  errno = error;
  return result;
}

constexpr int64_t kBacklogRetryUs = 1'000;
constexpr int64_t kBacklogRetryMaxUs = 32'000;

// Sleeps in a coroutine; blocks the thread where calls are not hooked.
coroutine::WakeReason Pause(coroutine::Deadline until) {
  if (Hooked()) return Measured([&] { return coroutine::SleepUntil(until); });
  const auto left = std::chrono::nanoseconds(until - coroutine::Clock::now()).count();
  const timespec wait{0, std::clamp<int64_t>(left, 0, 999'999'999)};
  real::nanosleep(&wait, nullptr);
  return coroutine::WakeReason::kTimeout;
}

// The kernel reports no event when a full unix backlog has room again: it is asked at growing
// intervals.
int ConnectUnix(int fd, const Description& description, const sockaddr* address, socklen_t length) {
  const uint32_t generation = FdTable::Generation(fd);
  const coroutine::Deadline deadline = DeadlineAfter(description.send_timeout());
  for (int64_t pause = kBacklogRetryUs;; pause = std::min(pause * 2, kBacklogRetryMaxUs)) {
    const int result = ConnectOnce(fd, description, address, length);
    if (result == 0 || errno != EAGAIN) return result;
    if (coroutine::Clock::now() >= deadline) {
      errno = EAGAIN;
      return -1;
    }
    const coroutine::WakeReason reason = Pause(std::min(deadline, DeadlineAfter(pause)));
    const bool closed = FdTable::Generation(fd) != generation;
    if (reason == coroutine::WakeReason::kCancelled || closed) {
      errno = closed ? EBADF : ECANCELED;
      return -1;
    }
  }
}

// A connection in progress is asked for by calling connect() again: the kernel then gives the
// outcome and leaves the socket in the state in which a blocking connect() would have.
int ConnectInside(int fd, const sockaddr* address, socklen_t length) {
  Description* description = FdTable::Get(fd);
  if (description == nullptr || !description->socket() || description->PassesThrough())
    return Direct([&] { return real::connect(fd, address, length); });
  if (description->unix_socket()) return ConnectUnix(fd, *description, address, length);
  FdWait wait(fd, EPOLLOUT, description->send_timeout());
  bool first = true;
  int in_progress = EINPROGRESS;
  for (;;) {
    const int result = ConnectOnce(fd, *description, address, length);
    if (result == 0 || (errno != EINPROGRESS && errno != EALREADY && errno != EINTR)) {
      wait.Charge();
      return result;
    }
    if (errno == EINTR) continue;
    if (first) in_progress = errno;
    first = false;
    wait.Drained();
    if (!wait.Park()) {
      if (errno == EAGAIN) errno = in_progress;  // SO_SNDTIMEO has passed
      return -1;
    }
  }
}

bool IsTimeout(int option) { return option == SO_RCVTIMEO || option == SO_SNDTIMEO; }

// Keeps what the kernel has accepted: it rounds to its ticks, and takes a negative time for "do not
// wait".
void NoteTimeout(int fd, int option, const void* value) {
  Description* description = FdTable::Find(fd);
  if (description == nullptr) return;
  const auto* time = static_cast<const timeval*>(value);
  int64_t microseconds = -1;
  if (time->tv_sec >= INT64_MAX / 1'000'000)
    microseconds = 0;
  else if (time->tv_sec >= 0)
    microseconds = time->tv_sec * 1'000'000 + time->tv_usec;
  if (option == SO_RCVTIMEO)
    description->set_receive_timeout(microseconds);
  else
    description->set_send_timeout(microseconds);
}

int SetOption(int fd, int level, int option, const void* value, socklen_t size) {
  const int result = real::setsockopt(fd, level, option, value, size);
  if (result == 0 && level == SOL_SOCKET && IsTimeout(option)) NoteTimeout(fd, option, value);
  return result;
}

// accept() and accept4() where there is more to do than the real call: see dup() in descriptor.cpp.
[[gnu::noinline]] int AcceptNoting(int fd, sockaddr* address, socklen_t* length) {
  if (!Hooked())
    return Outside(fd, MadeOutside(real::accept(fd, address, length)),
                   [&] { return AcceptInside(fd, address, length, 0); });
  CallRecord record(Call::accept, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return AcceptInside(resolved, address, length, 0); }));
}

[[gnu::noinline]] int AcceptNoting(int fd, sockaddr* address, socklen_t* length, int flags) {
  if (!Hooked())
    return Outside(fd, MadeOutside(real::accept4(fd, address, length, flags)),
                   [&] { return AcceptInside(fd, address, length, flags); });
  CallRecord record(Call::accept4, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return AcceptInside(resolved, address, length, flags); }));
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int socket(int domain, int type, int protocol) noexcept {
  if (!Hooked()) [[likely]]
    return MadeOutside(real::socket(domain, type, protocol));
  CallRecord record(Call::socket, domain);
  return record.Done(
      Made(real::socket(domain, type | SOCK_NONBLOCK, protocol), NewSocket(domain, type)));
}

COGI_API int socketpair(int domain, int type, int protocol, int* ends) noexcept {
  if (!Hooked()) [[likely]] {
    const int result = real::socketpair(domain, type, protocol, ends);
    for (int i = 0; result == 0 && i < 2; ++i) MadeOutside(ends[i]);
    return result;
  }
  CallRecord record(Call::socketpair, domain);
  const int result = real::socketpair(domain, type | SOCK_NONBLOCK, protocol, ends);
  for (int i = 0; result == 0 && i < 2; ++i) ends[i] = Made(ends[i], NewSocket(domain, type));
  return record.Done(result);
}

COGI_API int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  if (!Hooked() && FdTable::KnowsNone()) [[likely]]
    return real::accept4(fd, address, length, flags);
  return AcceptNoting(fd, address, length, flags);
}

COGI_API int accept(int fd, sockaddr* address, socklen_t* length) {
  if (!Hooked() && FdTable::KnowsNone()) [[likely]]
    return real::accept(fd, address, length);
  return AcceptNoting(fd, address, length);
}

COGI_API int connect(int fd, const sockaddr* address, socklen_t length) {
  if (Plain(fd)) [[likely]]
    return real::connect(fd, address, length);
  if (!Hooked())
    return Outside(fd, real::connect(fd, address, length),
                   [&] { return ConnectInside(fd, address, length); });
  CallRecord record(Call::connect, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return ConnectInside(resolved, address, length); }));
}
COGI_SAME(int, __connect, (int, const sockaddr*, socklen_t), connect);
COGI_SAME(int, __socket, (int, int, int) noexcept, socket);

COGI_API int shutdown(int fd, int how) noexcept {
  if (!Hooked()) [[likely]]
    return real::shutdown(fd, how);
  CallRecord record(Call::shutdown, fd);
  return record.Done(
      OnKernelFd(fd, ENOTSOCK, [&](int resolved) { return real::shutdown(resolved, how); }));
}

COGI_API int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
  if (!Hooked()) [[likely]]
    return SetOption(fd, level, option, value, size);
  CallRecord record(Call::setsockopt, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return SetOption(resolved, level, option, value, size); }));
}

COGI_API int getsockopt(int fd, int level, int option, void* value, socklen_t* size) noexcept {
  if (!Hooked()) [[likely]]
    return real::getsockopt(fd, level, option, value, size);
  CallRecord record(Call::getsockopt, fd);
  return record.Done(OnKernelFd(fd, ENOTSOCK, [&](int resolved) {
    return real::getsockopt(resolved, level, option, value, size);
  }));
}

}  // extern "C"
