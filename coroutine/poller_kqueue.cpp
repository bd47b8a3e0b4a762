#include "coroutine/poller.h"

#if defined(COGI_POLLER_KQUEUE) || !defined(__linux__)

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "coroutine/events.h"

namespace cogi::coroutine {
namespace {

constexpr uintptr_t kSignal = 0;  // the ident of the EVFILT_USER event
constexpr int64_t kSecond = 1'000'000'000;
// Some kernels refuse longer waits; who waits longer looks again in between.
constexpr int64_t kLongestWait = 86'400 * kSecond;

void Set(struct kevent& change, int fd, int filter, unsigned flags, unsigned filter_flags,
         uint32_t generation) noexcept {
  EV_SET(&change, static_cast<uintptr_t>(fd), static_cast<int16_t>(filter),
         static_cast<uint16_t>(flags), filter_flags, 0,
         reinterpret_cast<void*>(static_cast<uintptr_t>(generation)));
}

// SetAll() writes the changes by which all filters of a descriptor are added or deleted. Returns
// how many. The first is EVFILT_READ, the second EVFILT_WRITE.
constexpr int kFilters = 3;
int SetAll(struct kevent* changes, int fd, unsigned flags, uint32_t generation) noexcept {
  Set(changes[0], fd, EVFILT_READ, flags | EV_RECEIPT, 0, generation);
  Set(changes[1], fd, EVFILT_WRITE, flags | EV_RECEIPT, 0, generation);
#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB)
  Set(changes[2], fd, EVFILT_EXCEPT, flags | EV_RECEIPT, NOTE_OOB, generation);
  return kFilters;
#else
  return kFilters - 1;
#endif
}

// IsOfDisk() tells of what poll(2) finds always ready; kqueue would wait there for the file to
// grow.
bool IsOfDisk(int fd) noexcept {
  struct stat status;
  return fstat(fd, &status) == 0 &&
         (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode));
}

}  // namespace

uint32_t KqueuePoller::Report::events() const noexcept {
  const bool ended = (event_.flags & EV_EOF) != 0;
  const uint32_t error = ended && event_.fflags != 0 ? uint32_t{EPOLLERR} : 0;  // the socket's
  switch (event_.filter) {
    case EVFILT_READ:
      return error | EPOLLIN | (ended ? uint32_t{EPOLLRDHUP} : 0);
    case EVFILT_WRITE:  // ended: nobody will take what is written
      return error | EPOLLOUT | (ended ? uint32_t{EPOLLHUP} : 0);
    default:
      return EPOLLPRI;
  }
}

KqueuePoller::KqueuePoller() : kqueue_(kqueue()) {
  if (kqueue_ < 0) throw std::system_error(errno, std::generic_category(), "kqueue");
  fcntl(kqueue_, F_SETFD, FD_CLOEXEC);
  struct kevent change;
  EV_SET(&change, kSignal, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT, 0, 0, nullptr);
  Change(&change, 1);
  if (change.data != 0) {
    close(kqueue_);
    throw std::system_error(static_cast<int>(change.data), std::generic_category(), "EVFILT_USER");
  }
}

KqueuePoller::~KqueuePoller() { close(kqueue_); }

void KqueuePoller::Change(struct kevent* changes, int count) noexcept {
  ++controls_;
  const int error = errno;
  const timespec now{};
  // With EV_RECEIPT each change is answered by itself, and no event comes between.
  if (kevent(kqueue_, changes, count, changes, count, &now) != count) {
    for (int i = 0; i < count; ++i) changes[i].data = errno;
  }
  errno = error;
}

int KqueuePoller::Add(int fd, uint32_t generation, uint32_t& known) noexcept {
  if (IsOfDisk(fd)) return EPERM;
  struct kevent changes[kFilters];
  Change(changes, SetAll(changes, fd, EV_ADD | EV_CLEAR, generation));
  const auto read_error = static_cast<int>(changes[0].data);
  const auto write_error = static_cast<int>(changes[1].data);
  // A pipe whose reader has gone takes no filter for writing.
  if (write_error == EPIPE) known |= EPOLLOUT | EPOLLERR;
  if (read_error == 0 || write_error == 0 || write_error == EPIPE) return 0;
  return read_error;
}

int KqueuePoller::AddExclusive(int fd, uint32_t generation) noexcept {
  struct kevent change;
  Set(change, fd, EVFILT_READ, EV_ADD | EV_RECEIPT, 0, generation);
  Change(&change, 1);
  return static_cast<int>(change.data);
}

void KqueuePoller::Remove(int fd) noexcept {
  struct kevent changes[kFilters];
  Change(changes, SetAll(changes, fd, EV_DELETE, 0));
}

int KqueuePoller::Wait(Report* reports, int64_t wait) noexcept {
  static_assert(sizeof(Report) == sizeof(struct kevent));
  ++waits_;
  const int error = errno;
  const int64_t bounded = std::min(wait, kLongestWait);
  const timespec length{bounded / kSecond, bounded % kSecond};
  const int count =
      kevent(kqueue_, nullptr, 0, &reports->event_, kReports, wait < 0 ? nullptr : &length);
  errno = error;
  return count < 0 ? 0 : count;
}

void KqueuePoller::Signal() const noexcept {
  const int error = errno;
  struct kevent change;
  EV_SET(&change, kSignal, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
  (void)kevent(kqueue_, &change, 1, nullptr, 0, nullptr);
  errno = error;
}

}  // namespace cogi::coroutine

#endif
