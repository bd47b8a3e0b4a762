// A program's own epoll instance inside a coroutine. It is a descriptor like others: the event loop
// waits for it to have an event, then the program's call finds it.
#include <sys/epoll.h>

#include <algorithm>

#include "hooks/blocking.h"
#include "hooks/descriptors.h"

namespace cogi::hooks {
namespace {

using coroutine::Deadline;

int Created(int fd) {
  NewFd made;
  made.kind = FdKind::kPollable;
  return Made(fd, made);
}

int WaitInside(int fd, epoll_event* events, int room, bool now, Deadline deadline) {
  return OnKernelFd(fd, EINVAL, [&](int epoll) {
    const uint32_t generation = FdTable::Generation(epoll);
    for (;;) {
      const int ready = real::epoll_wait(epoll, events, room, 0);
      if (ready != 0 || now) {
        coroutine::ChargeCall();
        return ready;
      }
      coroutine::MarkDrained(epoll, EPOLLIN);
      const coroutine::WakeReason reason =
          Measured([&] { return coroutine::WaitFd(epoll, EPOLLIN, deadline); });
      if (reason == coroutine::WakeReason::kTimeout)
        return real::epoll_wait(epoll, events, room, 0);
      if (reason != coroutine::WakeReason::kReady || FdTable::Generation(epoll) != generation) {
        errno = ErrnoOf(reason);
        return -1;
      }
    }
  });
}

int WaitMilliseconds(int fd, epoll_event* events, int room, int wait) {
  const Deadline deadline =
      wait < 0 ? coroutine::kNoDeadline : coroutine::After(std::chrono::milliseconds(wait));
  return WaitInside(fd, events, room, wait == 0, deadline);
}

int WaitTimespec(int fd, epoll_event* events, int room, const timespec* wait) {
  if (wait == nullptr) return WaitInside(fd, events, room, false, coroutine::kNoDeadline);
  if (wait->tv_sec < 0 || wait->tv_nsec < 0 || wait->tv_nsec >= 1'000'000'000) {
    errno = EINVAL;
    return -1;
  }
  const int64_t seconds = std::min<int64_t>(wait->tv_sec, INT64_MAX / 2'000'000'000);
  const auto length = std::chrono::seconds(seconds) + std::chrono::nanoseconds(wait->tv_nsec);
  return WaitInside(fd, events, room, wait->tv_sec == 0 && wait->tv_nsec == 0,
                    coroutine::After(length));
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int epoll_create(int size) noexcept {
  if (!Hooked()) return MadeOutside(real::epoll_create(size));
  CallRecord record(Call::epoll_create, size);
  return record.Done(Created(real::epoll_create(size)));
}

COGI_API int epoll_create1(int flags) noexcept {
  if (!Hooked()) return MadeOutside(real::epoll_create1(flags));
  CallRecord record(Call::epoll_create1, flags);
  return record.Done(Created(real::epoll_create1(flags)));
}

COGI_API int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (!Hooked()) return real::epoll_ctl(epoll, operation, fd, event);
  CallRecord record(Call::epoll_ctl, epoll);
  return record.Done(OnKernelFd(epoll, EINVAL, [&](int instance) {
    return OnKernelFd(
        fd, EPERM, [&](int member) { return real::epoll_ctl(instance, operation, member, event); });
  }));
}

COGI_API int epoll_wait(int fd, epoll_event* events, int room, int wait) {
  if (!Hooked()) return real::epoll_wait(fd, events, room, wait);
  CallRecord record(Call::epoll_wait, fd);
  return record.Done(WaitMilliseconds(fd, events, room, wait));
}

COGI_API int epoll_pwait(int fd, epoll_event* events, int room, int wait, const sigset_t* mask) {
  if (!Hooked()) return real::epoll_pwait(fd, events, room, wait, mask);
  CallRecord record(Call::epoll_pwait, fd);
  return record.Done(WaitMilliseconds(fd, events, room, wait));
}

COGI_API int epoll_pwait2(int fd, epoll_event* events, int room, const timespec* wait,
                          const sigset_t* mask) {
  if (!Hooked()) return real::epoll_pwait2(fd, events, room, wait, mask);
  CallRecord record(Call::epoll_pwait2, fd);
  return record.Done(WaitTimespec(fd, events, room, wait));
}

}  // extern "C"
