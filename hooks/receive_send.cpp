// recv(), send() and their forms with addresses and messages.
#include <limits.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"
#include "hooks/transfer.h"

namespace cogi::hooks {
namespace {

// These never wait in the kernel either.
constexpr int kReceiveNow = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB;

bool MayWait(const Description* description, int flags, int now) {
  return description != nullptr && description->socket() && !description->PassesThrough() &&
         (flags & now) == 0;
}

// True if no more bytes can come, so that a peek need not wait for them.
bool AtEnd(int fd) {
  pollfd one{fd, POLLRDHUP, 0};
  return real::poll(&one, 1, 0) == 1;
}

// MSG_PEEK with MSG_WAITALL: nothing is consumed, so each look is at all of it.
ssize_t PeekAll(FdWait& wait, int fd, void* buffer, size_t size, int flags) {
  for (;;) {
    const ssize_t got = UntilReady(wait, [&] { return real::recv(fd, buffer, size, flags); });
    if (got < 0 || static_cast<size_t>(got) >= size || AtEnd(fd)) return got;
    wait.Drained();
    if (!wait.Park()) return got;
  }
}

ssize_t ReceiveInside(int fd, void* buffer, size_t size, int flags, sockaddr* address,
                      socklen_t* length) {
  Description* description = FdTable::Get(fd);
  if (!MayWait(description, flags, kReceiveNow))
    return Direct([&] { return real::recvfrom(fd, buffer, size, flags, address, length); });
  FdWait wait(fd, EPOLLIN, description->receive_timeout());
  const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
  if ((flags & MSG_WAITALL) != 0 && description->kind() == FdKind::kStream) {
    if ((flags & MSG_PEEK) != 0) return PeekAll(wait, fd, buffer, size, now);
    return TransferAll(wait, *description, std::min(size, kMaxTransfer), [&](size_t done) {
      return real::recvfrom(fd, static_cast<char*>(buffer) + done, size - done, now, address,
                            length);
    });
  }
  const ssize_t got =
      UntilReady(wait, [&] { return real::recvfrom(fd, buffer, size, now, address, length); });
  if (got < 0) return -1;
  if ((flags & MSG_PEEK) == 0) NoteRead(fd, *description, got, size);
  wait.Charge();
  return got;
}

// One attempt at the bytes of `message` after the first `done`; the control data belongs to the
// first.
ssize_t ReceiveRest(int fd, const msghdr& message, size_t done, int flags) {
  const PiecePosition from = Locate(message.msg_iov, message.msg_iovlen, done);
  if (from.index == message.msg_iovlen) return 0;
  const iovec& piece = message.msg_iov[from.index];
  return real::recv(fd, static_cast<char*>(piece.iov_base) + from.offset,
                    piece.iov_len - from.offset, flags);
}

ssize_t ReceiveMessageInside(int fd, msghdr* message, int flags) {
  Description* description = FdTable::Get(fd);
  if (!MayWait(description, flags, kReceiveNow) || message == nullptr)
    return Direct([&] { return real::recvmsg(fd, message, flags); });
  FdWait wait(fd, EPOLLIN, description->receive_timeout());
  const int now = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
  if ((flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && description->kind() == FdKind::kStream) {
    const size_t total = TotalSize(message->msg_iov, message->msg_iovlen);
    return TransferAll(wait, *description, total, [&](size_t done) {
      return done == 0 ? real::recvmsg(fd, message, now) : ReceiveRest(fd, *message, done, now);
    });
  }
  const ssize_t got = UntilReady(wait, [&] { return real::recvmsg(fd, message, now); });
  if (got >= 0) wait.Charge();
  return got;
}

ssize_t SendInside(int fd, const void* buffer, size_t size, int flags, const sockaddr* address,
                   socklen_t length) {
  Description* description = FdTable::Get(fd);
  if (!MayWait(description, flags, MSG_DONTWAIT))
    return Direct([&] { return real::sendto(fd, buffer, size, flags, address, length); });
  FdWait wait(fd, EPOLLOUT, description->send_timeout());
  const bool stream = description->kind() == FdKind::kStream;
  const size_t total = stream ? std::min(size, kMaxTransfer) : size;
  return TransferAll(wait, *description, total, [&](size_t done) {
    return real::sendto(fd, static_cast<const char*>(buffer) + done, total - done,
                        flags | MSG_DONTWAIT, address, length);
  });
}

ssize_t SendRest(int fd, const msghdr& message, size_t done, int flags) {
  const PiecePosition from = Locate(message.msg_iov, message.msg_iovlen, done);
  if (from.index == message.msg_iovlen) return 0;
  const iovec& piece = message.msg_iov[from.index];
  if (from.offset != 0)
    return real::send(fd, static_cast<const char*>(piece.iov_base) + from.offset,
                      piece.iov_len - from.offset, flags);
  msghdr rest{};
  rest.msg_iov = message.msg_iov + from.index;
  rest.msg_iovlen = message.msg_iovlen - from.index;
  return real::sendmsg(fd, &rest, flags);
}

// Descriptors that go to another process must not keep a hidden O_NONBLOCK.
void ShowPassed(const msghdr* message) {
  if (message == nullptr || message->msg_control == nullptr) return;
  const auto* begin = static_cast<const char*>(message->msg_control);
  const char* end = begin + message->msg_controllen;
  while (end - begin >= static_cast<ptrdiff_t>(CMSG_LEN(0))) {
    cmsghdr header{};
    memcpy(&header, begin, sizeof header);
    if (header.cmsg_len < CMSG_LEN(0) || header.cmsg_len > static_cast<size_t>(end - begin)) return;
    const size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const bool rights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
    for (size_t i = 0; rights && i < count; ++i) {
      int fd = -1;
      memcpy(&fd, begin + CMSG_LEN(0) + i * sizeof fd, sizeof fd);
      FdTable::Show(fd);
    }
    const size_t step = CMSG_ALIGN(header.cmsg_len);
    if (step >= static_cast<size_t>(end - begin)) return;
    begin += step;
  }
}

// `before`: bytes that have been sent already.
ssize_t SendMessageInside(int fd, const msghdr* message, int flags, size_t before = 0) {
  ShowPassed(message);
  Description* description = FdTable::Get(fd);
  if (!MayWait(description, flags, MSG_DONTWAIT) || message == nullptr ||
      message->msg_iovlen > IOV_MAX || (message->msg_iovlen > 0 && message->msg_iov == nullptr))
    return Direct([&] { return real::sendmsg(fd, message, flags); });
  FdWait wait(fd, EPOLLOUT, description->send_timeout());
  const size_t total = TotalSize(message->msg_iov, message->msg_iovlen) - before;
  return TransferAll(wait, *description, total, [&](size_t moved) {
    const int now = flags | MSG_DONTWAIT;
    const size_t done = before + moved;
    return done == 0 ? real::sendmsg(fd, message, now) : SendRest(fd, *message, done, now);
  });
}

// True if a send outside coroutines has to go on by waiting.
bool MustGoOn(int fd, ssize_t put, size_t size, int flags) {
  if ((flags & MSG_DONTWAIT) != 0 || put == static_cast<ssize_t>(size)) return false;
  return put < 0 ? WouldBlock(fd) : CutShort(fd);
}

ssize_t SendOutside(int fd, const void* buffer, size_t size, int flags, const sockaddr* address,
                    socklen_t length) {
  const ssize_t put = real::sendto(fd, buffer, size, flags, address, length);
  if (!MustGoOn(fd, put, size, flags)) [[likely]]
    return put;
  const size_t done = put < 0 ? 0 : static_cast<size_t>(put);
  const ssize_t rest =
      SendInside(fd, static_cast<const char*>(buffer) + done, size - done, flags, address, length);
  return rest < 0 ? put : static_cast<ssize_t>(done) + rest;
}

ssize_t SendMessageOutside(int fd, const msghdr* message, int flags) {
  ShowPassed(message);
  if (!FdTable::Hides(fd)) [[likely]]
    return real::sendmsg(fd, message, flags);
  const ssize_t put = real::sendmsg(fd, message, flags);
  if (!MustGoOn(fd, put, SIZE_MAX, flags)) [[likely]]
    return put;
  const size_t done = put < 0 ? 0 : static_cast<size_t>(put);
  if (done == TotalSize(message->msg_iov, message->msg_iovlen)) return put;
  const ssize_t rest = SendMessageInside(fd, message, flags, done);
  return rest < 0 ? put : static_cast<ssize_t>(done) + rest;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  if (Plain(fd)) [[likely]]
    return real::recv(fd, buffer, size, flags);
  if (!Hooked())
    return Outside(fd, real::recv(fd, buffer, size, flags),
                   [&] { return ReceiveInside(fd, buffer, size, flags, nullptr, nullptr); });
  CallRecord record(Call::recv, fd);
  return record.Done(OnKernelFd(fd, ENOTSOCK, [&](int resolved) {
    return ReceiveInside(resolved, buffer, size, flags, nullptr, nullptr);
  }));
}

COGI_API ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address,
                          socklen_t* length) {
  if (Plain(fd)) [[likely]]
    return real::recvfrom(fd, buffer, size, flags, address, length);
  if (!Hooked())
    return Outside(fd, real::recvfrom(fd, buffer, size, flags, address, length),
                   [&] { return ReceiveInside(fd, buffer, size, flags, address, length); });
  CallRecord record(Call::recvfrom, fd);
  return record.Done(OnKernelFd(fd, ENOTSOCK, [&](int resolved) {
    return ReceiveInside(resolved, buffer, size, flags, address, length);
  }));
}

COGI_API ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (Plain(fd)) [[likely]]
    return real::recvmsg(fd, message, flags);
  if (!Hooked())
    return Outside(fd, real::recvmsg(fd, message, flags),
                   [&] { return ReceiveMessageInside(fd, message, flags); });
  CallRecord record(Call::recvmsg, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return ReceiveMessageInside(resolved, message, flags); }));
}

COGI_API ssize_t send(int fd, const void* buffer, size_t size, int flags) {
  if (Plain(fd)) [[likely]]
    return real::send(fd, buffer, size, flags);
  if (!Hooked()) return SendOutside(fd, buffer, size, flags, nullptr, 0);
  CallRecord record(Call::send, fd);
  return record.Done(OnKernelFd(fd, ENOTSOCK, [&](int resolved) {
    return SendInside(resolved, buffer, size, flags, nullptr, 0);
  }));
}

COGI_API ssize_t sendto(int fd, const void* buffer, size_t size, int flags, const sockaddr* address,
                        socklen_t length) {
  if (Plain(fd)) [[likely]]
    return real::sendto(fd, buffer, size, flags, address, length);
  if (!Hooked()) return SendOutside(fd, buffer, size, flags, address, length);
  CallRecord record(Call::sendto, fd);
  return record.Done(OnKernelFd(fd, ENOTSOCK, [&](int resolved) {
    return SendInside(resolved, buffer, size, flags, address, length);
  }));
}

COGI_API ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (!Hooked()) [[likely]]
    return SendMessageOutside(fd, message, flags);
  CallRecord record(Call::sendmsg, fd);
  return record.Done(OnKernelFd(
      fd, ENOTSOCK, [&](int resolved) { return SendMessageInside(resolved, message, flags); }));
}

COGI_SAME(ssize_t, __recv, (int, void*, size_t, int), recv);
COGI_SAME(ssize_t, __send, (int, const void*, size_t, int), send);

COGI_API ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
  CheckRoom(size, room);
  return recv(fd, buffer, size, flags);
}

COGI_API ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags,
                                sockaddr* address, socklen_t* length) {
  CheckRoom(size, room);
  return recvfrom(fd, buffer, size, flags, address, length);
}

}  // extern "C"
