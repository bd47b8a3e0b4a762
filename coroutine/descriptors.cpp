#include "coroutine/descriptors.h"

#include <cerrno>
#include <new>

#include "coroutine/events.h"
#include "coroutine/timer_wheel.h"

namespace cogi::coroutine {

Descriptor* Descriptors::Make(int fd) noexcept {
  const auto chunk = static_cast<size_t>(fd) / kChunk;
  try {
    if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
    chunks_[chunk] = std::make_unique<Descriptor[]>(kChunk);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  return Find(fd);
}

int Descriptors::RegisterAnew(int fd, Descriptor& descriptor) noexcept {
  if (descriptor.mode == Descriptor::Mode::kExclusiveOff) return RegisterExclusive(fd, descriptor);
  if (descriptor.mode != Descriptor::Mode::kNone) return 0;
  ++descriptor.generation;
  descriptor.latched = 0;
  descriptor.reported = false;
  const int failed = poller_.Add(fd, descriptor.generation, descriptor.latched);
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
  const int failed = poller_.AddExclusive(fd, descriptor.generation);
  if (failed == 0) descriptor.mode = Descriptor::Mode::kExclusive;
  return failed;
}

void Descriptors::Unregister(int fd, Descriptor& descriptor) noexcept {
  using Mode = Descriptor::Mode;
  if (descriptor.mode == Mode::kEdge || descriptor.mode == Mode::kExclusive) poller_.Remove(fd);
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

void Descriptors::Poll(int64_t deadline, int64_t now) noexcept {
  Poller::Report reports[Poller::kReports];
  int64_t wait = 0;
  if (deadline == TimerWheel::kNever)
    wait = -1;
  else if (deadline > now)
    wait = deadline - now;
  const int count = poller_.Wait(reports, wait);
  for (int i = 0; i < count; ++i)
    Dispatch(reports[i].fd(), reports[i].generation(), reports[i].events());
}

void Descriptors::Dispatch(int fd, uint32_t generation, uint32_t events) noexcept {
  Descriptor* descriptor = Find(fd);  // null also for a Signal()
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
