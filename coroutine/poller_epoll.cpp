#include "coroutine/poller.h"

#if !defined(COGI_POLLER_KQUEUE) && defined(__linux__)

#include <sys/eventfd.h>

#include <cerrno>
#include <climits>
#include <system_error>

#include "coroutine/stack.h"
#include "coroutine/system_calls.h"

namespace cogi::coroutine {
namespace {

constexpr uint32_t kEdgeEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
constexpr int kOfSignal = -1;
constexpr int64_t kMillisecond = 1'000'000, kSecond = 1000 * kMillisecond;

int MillisecondsUp(int64_t wait) noexcept {
  const int64_t milliseconds = (wait + kMillisecond - 1) / kMillisecond;
  return milliseconds > INT_MAX ? INT_MAX : static_cast<int>(milliseconds);
}

}  // namespace

EpollPoller::EpollPoller() : old_kernel_(under_valgrind) {  // it does not know epoll_pwait2
  const long epoll = sys::EpollCreate(EPOLL_CLOEXEC);
  if (epoll < 0)
    throw std::system_error(static_cast<int>(-epoll), std::generic_category(), "epoll_create1");
  epoll_ = static_cast<int>(epoll);
  const long wake = sys::EventFd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    sys::Close(epoll_);
    throw std::system_error(static_cast<int>(-wake), std::generic_category(), "eventfd");
  }
  wake_ = static_cast<int>(wake);
  // Edge-triggered: each write is an event, and nobody needs to read the count.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = static_cast<uint32_t>(kOfSignal);
  ++controls_;
  sys::EpollCtl(epoll_, EPOLL_CTL_ADD, wake_, &event);
}

EpollPoller::~EpollPoller() {
  sys::Close(wake_);
  sys::Close(epoll_);
}

int EpollPoller::Control(int operation, int fd, uint32_t events, uint32_t generation) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
  ++controls_;
  return static_cast<int>(-sys::EpollCtl(epoll_, operation, fd, &event));
}

// What is registered already is replaced: the number was closed behind our back and has come again
// for the same open file. (An exclusive registration cannot be modified.)
int EpollPoller::AddAnew(int fd, uint32_t events, uint32_t generation) noexcept {
  const int failed = Control(EPOLL_CTL_ADD, fd, events, generation);
  if (failed != EEXIST) return failed;
  Remove(fd);
  return Control(EPOLL_CTL_ADD, fd, events, generation);
}

int EpollPoller::Add(int fd, uint32_t generation, uint32_t&) noexcept {
  return AddAnew(fd, kEdgeEvents | EPOLLET, generation);
}

int EpollPoller::AddExclusive(int fd, uint32_t generation) noexcept {
  return AddAnew(fd, EPOLLIN | EPOLLEXCLUSIVE, generation);
}

void EpollPoller::Remove(int fd) noexcept { Control(EPOLL_CTL_DEL, fd, 0, 0); }

int EpollPoller::Wait(Report* reports, int64_t wait) noexcept {
  static_assert(sizeof(Report) == sizeof(epoll_event));
  ++waits_;
  epoll_event* events = &reports->event_;
  long count = -ENOSYS;
  if (!old_kernel_) {
    const timespec length{wait / kSecond, wait % kSecond};
    count = sys::EpollWait2(epoll_, events, kReports, wait < 0 ? nullptr : &length);
    if (count == -ENOSYS || count == -EPERM) old_kernel_ = true;
  }
  if (old_kernel_)
    count = sys::EpollWait(epoll_, events, kReports, wait < 0 ? -1 : MillisecondsUp(wait));
  return count < 0 ? 0 : static_cast<int>(count);
}

void EpollPoller::Signal() const noexcept {
  const uint64_t one = 1;
  (void)sys::Write(wake_, &one, sizeof one);
}

}  // namespace cogi::coroutine

#endif
