// recvmmsg() and sendmmsg(): one message after the other, by the hooked calls.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "coroutine/deadline.h"
#include "hooks/blocking.h"
#include "hooks/checked.h"

namespace cogi::hooks {
namespace {

constexpr unsigned kMostMessages = 1024;  // the kernel's limit for one call

bool Valid(const timespec& time) {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000;
}

int ReceiveEach(int fd, mmsghdr* messages, unsigned count, int flags,
                coroutine::Deadline deadline) {
  int each = flags & ~MSG_WAITFORONE;
  for (unsigned i = 0; i < count; ++i) {
    const ssize_t got = ::recvmsg(fd, &messages[i].msg_hdr, each);
    if (got < 0) return i > 0 ? static_cast<int>(i) : -1;
    messages[i].msg_len = static_cast<unsigned>(got);
    if ((flags & MSG_WAITFORONE) != 0) each |= MSG_DONTWAIT;
    const bool expired = deadline != coroutine::kNoDeadline && coroutine::Clock::now() >= deadline;
    if (expired || (messages[i].msg_hdr.msg_flags & MSG_OOB) != 0) return static_cast<int>(i + 1);
  }
  return static_cast<int>(count);
}

int ReceiveInside(int fd, mmsghdr* messages, unsigned count, int flags, timespec* wait) {
  if (wait == nullptr)
    return ReceiveEach(fd, messages, std::min(count, kMostMessages), flags, coroutine::kNoDeadline);
  if (!Valid(*wait)) {
    errno = EINVAL;
    return -1;
  }
  const coroutine::Deadline deadline = coroutine::After(std::chrono::nanoseconds(
      std::min<int64_t>(wait->tv_sec, INT64_MAX / 2'000'000'000) * 1'000'000'000 + wait->tv_nsec));
  const int got = ReceiveEach(fd, messages, std::min(count, kMostMessages), flags, deadline);
  if (got > 0) {
    const int64_t left =
        std::max<int64_t>(0, std::chrono::nanoseconds(deadline - coroutine::Clock::now()).count());
    *wait = {left / 1'000'000'000, left % 1'000'000'000};
  }
  return got;
}

int SendInside(int fd, mmsghdr* messages, unsigned count, int flags) {
  count = std::min(count, kMostMessages);
  for (unsigned i = 0; i < count; ++i) {
    const ssize_t put = ::sendmsg(fd, &messages[i].msg_hdr, flags);
    if (put < 0) return i > 0 ? static_cast<int>(i) : -1;
    messages[i].msg_len = static_cast<unsigned>(put);
  }
  return static_cast<int>(count);
}

// What the kernel answers at once.
bool TakesKernel(const mmsghdr* messages, unsigned count) {
  return messages == nullptr || count == 0;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* wait) {
  if (!Hooked() || TakesKernel(messages, count)) {
    const int got = real::recvmmsg(fd, messages, count, flags, wait);
    if (got >= 0 || (flags & MSG_DONTWAIT) != 0 || !WouldBlock(fd)) return got;
    return ReceiveInside(fd, messages, count, flags, wait);
  }
  CallRecord record(Call::recvmmsg, fd);
  return record.Done(ReceiveInside(fd, messages, count, flags, wait));
}

COGI_API int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (!Hooked() || TakesKernel(messages, count)) {
    const int put = real::sendmmsg(fd, messages, count, flags);
    if (put >= 0 || (flags & MSG_DONTWAIT) != 0 || !WouldBlock(fd)) return put;
    return SendInside(fd, messages, count, flags);
  }
  CallRecord record(Call::sendmmsg, fd);
  return record.Done(SendInside(fd, messages, count, flags));
}
COGI_SAME(int, __sendmmsg, (int, mmsghdr*, unsigned, int), sendmmsg);

}  // extern "C"
