// poll(), ppoll(), select(), pselect().
#include <poll.h>
#include <sys/select.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "hooks/blocking.h"
#include "hooks/checked.h"

namespace cogi::hooks {
namespace {

using coroutine::Deadline;

Deadline DeadlineOf(const timespec& wait) {
  if (wait.tv_sec >= INT64_MAX / 2'000'000'000) return coroutine::kNoDeadline;
  return coroutine::After(std::chrono::seconds(wait.tv_sec) +
                          std::chrono::nanoseconds(wait.tv_nsec));
}

bool Valid(const timespec& time) {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000;
}

// A program's descriptors may be virtual files, which are always ready, or stand for other numbers.
bool NeedsTranslation(const pollfd* fds, nfds_t count) {
  for (nfds_t i = 0; i < count; ++i) {
    if (fds[i].fd < 0) continue;
    const Descriptor what = Resolve(fds[i].fd);
    if (what.file != nullptr || what.fd != fds[i].fd) return true;
  }
  return false;
}

// One look without waiting, then, unless `now`, a park. The poll(2) inside PollFds() would do for
// the look, but most polls of a library are for data that is there.
int PollKernel(pollfd* fds, nfds_t count, bool now, Deadline deadline) {
  const int ready = real::poll(fds, count, 0);
  if (ready != 0 || now) {
    coroutine::ChargeCall();
    return ready;
  }
  return Measured([&] { return coroutine::PollFds(fds, count, deadline); });
}

int PollTranslated(pollfd* fds, nfds_t count, bool now, Deadline deadline) {
  const std::unique_ptr<pollfd[]> kernel(new (std::nothrow) pollfd[count]);
  if (kernel == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  int virtual_ready = 0;
  for (nfds_t i = 0; i < count; ++i) {
    kernel[i] = {-1, fds[i].events, 0};
    fds[i].revents = 0;
    if (fds[i].fd < 0) continue;
    const Descriptor what = Resolve(fds[i].fd);
    if (what.file != nullptr)
      fds[i].revents =
          static_cast<short>(fds[i].events & (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM));
    else if (what.fd < 0)
      fds[i].revents = POLLNVAL;
    else
      kernel[i].fd = what.fd;
    if (fds[i].revents != 0) ++virtual_ready;
  }
  const int ready = PollKernel(kernel.get(), count, now || virtual_ready > 0, deadline);
  if (ready < 0) return -1;
  for (nfds_t i = 0; i < count; ++i) {
    if (kernel[i].fd >= 0) fds[i].revents = kernel[i].revents;
  }
  return ready + virtual_ready;
}

int PollInside(pollfd* fds, nfds_t count, bool now, Deadline deadline) {
  if (CurrentProgram() != nullptr && fds != nullptr && count < (1u << 20) &&
      NeedsTranslation(fds, count))
    return PollTranslated(fds, count, now, deadline);
  return PollKernel(fds, count, now, deadline);
}

// --- select

constexpr int kBits = 8 * sizeof(fd_mask);
constexpr short kInEvents = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short kOutEvents = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;

// The caller's three sets, as words; fd_set's own macros end at FD_SETSIZE.
struct Sets {
  fd_mask* read;
  fd_mask* write;
  fd_mask* except;
};

bool Has(const fd_mask* set, int fd) {
  return set != nullptr && (static_cast<uint64_t>(set[fd / kBits]) >> (fd % kBits) & 1) != 0;
}

void Clear(fd_mask* set, int fd) {
  if (set != nullptr) set[fd / kBits] &= ~static_cast<fd_mask>(uint64_t{1} << (fd % kBits));
}

short Wanted(const Sets& sets, int fd) {
  return static_cast<short>((Has(sets.read, fd) ? POLLIN : 0) |
                            (Has(sets.write, fd) ? POLLOUT : 0) |
                            (Has(sets.except, fd) ? POLLPRI : 0));
}

// True if an event that select(2) reports has come: a hang-up is no writability.
bool Counts(short wanted, short got) {
  return ((wanted & POLLIN) != 0 && (got & kInEvents) != 0) ||
         ((wanted & POLLOUT) != 0 && (got & kOutEvents) != 0) ||
         ((wanted & POLLPRI) != 0 && (got & POLLPRI) != 0);
}

// Leaves in the sets what is ready, as select(2) does. Returns the number of bits.
int Report(const Sets& sets, const pollfd* fds, size_t count) {
  int bits = 0;
  const auto keep = [&](fd_mask* set, int fd, bool ready) {
    if (!Has(set, fd)) return;
    if (ready)
      ++bits;
    else
      Clear(set, fd);
  };
  for (size_t i = 0; i < count; ++i) {
    keep(sets.read, fds[i].fd, (fds[i].revents & kInEvents) != 0);
    keep(sets.write, fds[i].fd, (fds[i].revents & kOutEvents) != 0);
    keep(sets.except, fds[i].fd, (fds[i].revents & POLLPRI) != 0);
  }
  return bits;
}

constexpr auto kHangUpPause = std::chrono::milliseconds(5);

// Polls until something that select(2) reports is there. -1 with errno; EBADF if one is not open.
int PollForSelect(pollfd* fds, size_t count, bool now, Deadline deadline) {
  for (;;) {
    const int ready = PollInside(fds, count, now, deadline);
    if (ready <= 0) return ready;
    bool counts = false;
    for (size_t i = 0; i < count; ++i) {
      if ((fds[i].revents & POLLNVAL) != 0) {
        errno = EBADF;
        return -1;
      }
      counts = counts || Counts(fds[i].events, fds[i].revents);
    }
    if (counts || now) return counts ? ready : 0;
    // A hang-up that is not asked for: poll(2) reports it, select(2) waits on.
    if (coroutine::Clock::now() >= deadline) return 0;
    const auto reason = coroutine::SleepUntil(std::min(deadline, coroutine::After(kHangUpPause)));
    if (reason == coroutine::WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
  }
}

int SelectInside(int limit, const Sets& sets, bool now, Deadline deadline) {
  if (limit < 0) {
    errno = EINVAL;
    return -1;
  }
  size_t count = 0;
  for (int fd = 0; fd < limit; ++fd) count += Wanted(sets, fd) != 0;
  const std::unique_ptr<pollfd[]> fds(new (std::nothrow) pollfd[count + 1]);
  if (fds == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  count = 0;
  for (int fd = 0; fd < limit; ++fd) {
    const short wanted = Wanted(sets, fd);
    if (wanted != 0) fds[count++] = {fd, wanted, 0};
  }
  const int ready = PollForSelect(fds.get(), count, now, deadline);
  if (ready < 0) return -1;
  if (ready == 0) {
    for (size_t i = 0; i < count; ++i) fds[i].revents = 0;
  }
  return Report(sets, fds.get(), count);
}

Sets SetsOf(fd_set* read, fd_set* write, fd_set* except) {
  return {reinterpret_cast<fd_mask*>(read), reinterpret_cast<fd_mask*>(write),
          reinterpret_cast<fd_mask*>(except)};
}

void WriteTimeLeft(timeval* wait, Deadline deadline) {
  const auto left = std::max<int64_t>(
      0, std::chrono::duration_cast<std::chrono::microseconds>(deadline - coroutine::Clock::now())
             .count());
  wait->tv_sec = left / 1'000'000;
  wait->tv_usec = left % 1'000'000;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int poll(pollfd* fds, nfds_t count, int timeout) {
  if (!Hooked()) [[likely]]
    return real::poll(fds, count, timeout);
  CallRecord record(Call::poll, static_cast<int64_t>(count));
  const Deadline deadline = timeout < 0
                                ? cogi::coroutine::kNoDeadline
                                : cogi::coroutine::After(std::chrono::milliseconds(timeout));
  return record.Done(PollInside(fds, count, timeout == 0, deadline));
}

COGI_API int ppoll(pollfd* fds, nfds_t count, const timespec* wait, const sigset_t* mask) {
  if (!Hooked()) [[likely]]
    return real::ppoll(fds, count, wait, mask);
  CallRecord record(Call::ppoll, static_cast<int64_t>(count));
  if (wait != nullptr && !Valid(*wait)) {
    errno = EINVAL;
    return record.Done(-1);
  }
  const bool now = wait != nullptr && wait->tv_sec == 0 && wait->tv_nsec == 0;
  const Deadline deadline = wait == nullptr ? cogi::coroutine::kNoDeadline : DeadlineOf(*wait);
  return record.Done(PollInside(fds, count, now, deadline));
}

COGI_API int select(int limit, fd_set* read, fd_set* write, fd_set* except, timeval* wait) {
  if (!Hooked()) [[likely]]
    return real::select(limit, read, write, except, wait);
  CallRecord record(Call::select, limit);
  Deadline deadline = cogi::coroutine::kNoDeadline;
  bool now = false;
  if (wait != nullptr) {
    if (wait->tv_sec < 0 || wait->tv_usec < 0) {
      errno = EINVAL;
      return record.Done(-1);
    }
    now = wait->tv_sec == 0 && wait->tv_usec == 0;
    deadline =
        DeadlineOf({wait->tv_sec + wait->tv_usec / 1'000'000, wait->tv_usec % 1'000'000 * 1'000});
  }
  const int result = SelectInside(limit, SetsOf(read, write, except), now, deadline);
  if (wait != nullptr && deadline != cogi::coroutine::kNoDeadline) WriteTimeLeft(wait, deadline);
  return record.Done(result);
}
COGI_SAME(int, __select, (int, fd_set*, fd_set*, fd_set*, timeval*), select);

COGI_API int pselect(int limit, fd_set* read, fd_set* write, fd_set* except, const timespec* wait,
                     const sigset_t* mask) {
  if (!Hooked()) [[likely]]
    return real::pselect(limit, read, write, except, wait, mask);
  CallRecord record(Call::pselect, limit);
  if (wait != nullptr && !Valid(*wait)) {
    errno = EINVAL;
    return record.Done(-1);
  }
  const bool now = wait != nullptr && wait->tv_sec == 0 && wait->tv_nsec == 0;
  const Deadline deadline = wait == nullptr ? cogi::coroutine::kNoDeadline : DeadlineOf(*wait);
  return record.Done(SelectInside(limit, SetsOf(read, write, except), now, deadline));
}

COGI_SAME(int, __poll, (pollfd*, nfds_t, int), poll);

COGI_API int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
  CheckRoom(count, room / sizeof(pollfd));
  return poll(fds, count, timeout);
}

COGI_API int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* wait, const sigset_t* mask,
                         size_t room) {
  CheckRoom(count, room / sizeof(pollfd));
  return ppoll(fds, count, wait, mask);
}

}  // extern "C"
