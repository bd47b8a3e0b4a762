#include "coroutine/descriptors.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <climits>
#include <system_error>

#include "coroutine/system_calls.h"
#include "coroutine/timer_wheel.h"

namespace cogi::coroutine {
namespace {

constexpr uint32_t kEdgeEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
constexpr int64_t kNanosecond = 1, kMillisecond = 1'000'000 * kNanosecond,
                  kSecond = 1000 * kMillisecond;

int MillisecondsUp(int64_t wait) noexcept {
  const int64_t milliseconds = (wait + kMillisecond - 1) / kMillisecond;
  return milliseconds > INT_MAX ? INT_MAX : static_cast<int>(milliseconds);
}

}  // namespace

Descriptors::Descriptors() {
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
  Control(EPOLL_CTL_ADD, wake_, EPOLLIN, 0);
}

Descriptors::~Descriptors() {
  sys::Close(wake_);
  sys::Close(epoll_);
}

Descriptor& Descriptors::Get(int fd) {
  const auto chunk = static_cast<size_t>(fd) / kChunk;
  if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
  if (chunks_[chunk] == nullptr) chunks_[chunk] = std::make_unique<Descriptor[]>(kChunk);
  return chunks_[chunk][static_cast<size_t>(fd) % kChunk];
}

int Descriptors::Control(int operation, int fd, uint32_t events, uint32_t generation) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
  ++controls_;
  return static_cast<int>(-sys::EpollCtl(epoll_, operation, fd, &event));
}

int Descriptors::Register(int fd, Descriptor& descriptor) noexcept {
  if (descriptor.mode == Descriptor::Mode::kExclusiveOff) return RegisterExclusive(fd, descriptor);
  if (descriptor.mode != Descriptor::Mode::kNone) return 0;
  ++descriptor.generation;
  descriptor.latched = 0;
  descriptor.reported = false;
  int failed = Control(EPOLL_CTL_ADD, fd, kEdgeEvents | EPOLLET, descriptor.generation);
  // The number was closed behind our back and has come again for the same open file.
  if (failed == EEXIST)
    failed = Control(EPOLL_CTL_MOD, fd, kEdgeEvents | EPOLLET, descriptor.generation);
  if (failed == EPERM) {
    descriptor.mode = Descriptor::Mode::kAlwaysReady;
    return 0;
  }
  if (failed == 0) descriptor.mode = Descriptor::Mode::kEdge;
  return failed;
}

int Descriptors::RegisterExclusive(int fd, Descriptor& descriptor) noexcept {
  if (descriptor.mode == Descriptor::Mode::kExclusive) return 0;
  if (descriptor.mode == Descriptor::Mode::kEdge) Unregister(fd, descriptor);
  ++descriptor.generation;
  descriptor.latched = 0;
  const int failed = Control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, descriptor.generation);
  if (failed == 0) descriptor.mode = Descriptor::Mode::kExclusive;
  return failed;
}

void Descriptors::Unregister(int fd, Descriptor& descriptor) noexcept {
  using Mode = Descriptor::Mode;
  if (descriptor.mode == Mode::kEdge || descriptor.mode == Mode::kExclusive)
    Control(EPOLL_CTL_DEL, fd, 0, 0);
  descriptor.mode = Mode::kNone;
  descriptor.latched = 0;
  ++descriptor.generation;
}

void Descriptors::Forget(int fd) noexcept {
  Descriptor* descriptor = Find(fd);
  if (descriptor == nullptr) return;
  Unregister(fd, *descriptor);
  descriptor->waiters.WakeAll(WakeReason::kClosed);
}

void Descriptors::Signal() const noexcept {
  const uint64_t one = 1;
  (void)sys::Write(wake_, &one, sizeof one);
}

void Descriptors::Poll(int64_t deadline, int64_t now) noexcept {
  constexpr int kRoom = 256;
  epoll_event events[kRoom];
  int64_t wait = 0;
  if (deadline == TimerWheel::kNever)
    wait = -1;
  else if (deadline > now)
    wait = deadline - now;
  ++waits_;
  long count = -ENOSYS;
  if (!old_kernel_) {
    const timespec length{wait / kSecond, wait % kSecond};
    count = sys::EpollWait2(epoll_, events, kRoom, wait < 0 ? nullptr : &length);
    if (count == -ENOSYS || count == -EPERM) old_kernel_ = true;
  }
  if (old_kernel_)
    count = sys::EpollWait(epoll_, events, kRoom, wait < 0 ? -1 : MillisecondsUp(wait));
  for (long i = 0; i < count; ++i) {
    const uint64_t data = events[i].data.u64;
    Dispatch(static_cast<int>(data & 0xffffffff), static_cast<uint32_t>(data >> 32),
             events[i].events);
  }
}

void Descriptors::Dispatch(int fd, uint32_t generation, uint32_t events) noexcept {
  if (fd == wake_) {
    uint64_t count = 0;
    (void)sys::Read(wake_, &count, sizeof count);
    return;
  }
  Descriptor* descriptor = Find(fd);
  if (descriptor == nullptr || descriptor->generation != generation) return;
  if (descriptor->mode == Descriptor::Mode::kExclusive && descriptor->waiters.empty()) {
    // Level-triggered, and nobody here has the time: leave it to the other processes.
    Unregister(fd, *descriptor);
    descriptor->mode = Descriptor::Mode::kExclusiveOff;
    return;
  }
  descriptor->latched |= events;
  descriptor->reported = true;
  for (WaitNode* node = descriptor->waiters.front(); node != nullptr;) {
    WaitNode* next = node->next;
    if (((node->wanted | EPOLLERR | EPOLLHUP) & events) != 0) {
      node->got = events;
      descriptor->waiters.Wake(*node);
    }
    node = next;
  }
}

}  // namespace cogi::coroutine
