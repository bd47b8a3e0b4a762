#include "coroutine/event_loop.h"

#include <cerrno>
#include <new>
#include <vector>

#include "coroutine/check.h"
#include "coroutine/scheduler_impl.h"
#include "coroutine/system_calls.h"

namespace cogi::coroutine {
namespace {

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;

// PollNodes are the wait nodes of one PollFds(): on the heap, because they must stay where they are
// while another coroutine uses the stack.
class PollNodes {
 public:
  PollNodes() = default;
  ~PollNodes() {
    for (WaitNode& node : nodes_) {
      if (node.list != nullptr) node.list->Remove(node);
    }
  }
  PollNodes(const PollNodes&) = delete;
  PollNodes& operator=(const PollNodes&) = delete;

  // Link() files a node for each descriptor of the set. Returns false, errno ENOMEM, if it cannot.
  // One that is not open is left to poll(2), which tells of it.
  bool Link(Coroutine& self, const pollfd* fds, nfds_t count) {
    Descriptors& descriptors = self.scheduler->descriptors;
    try {
      nodes_.reserve(count);
      for (nfds_t i = 0; i < count; ++i) {
        if (fds[i].fd < 0) continue;
        Descriptor* descriptor = descriptors.Get(fds[i].fd);
        const int failed =
            descriptor == nullptr ? ENOMEM : descriptors.Register(fds[i].fd, *descriptor);
        if (failed == EBADF) continue;
        if (failed != 0) throw std::bad_alloc();
        WaitNode& node = nodes_.emplace_back();
        node.coroutine = &self;
        node.wanted = static_cast<uint16_t>(fds[i].events);  // POLL* and EPOLL* are the same bits
        descriptor->waiters.Add(node);
      }
    } catch (const std::bad_alloc&) {
      errno = ENOMEM;
      return false;
    }
    return true;
  }

 private:
  std::vector<WaitNode> nodes_;  // never grows beyond its first reservation
};

int RealPoll(pollfd* fds, nfds_t count) {
  const long ready = sys::PollNow(fds, count);
  if (ready >= 0) return static_cast<int>(ready);
  errno = static_cast<int>(-ready);
  return -1;
}

}  // namespace

WakeReason WaitFd(int fd, uint32_t events, Deadline deadline, uint32_t* got) {
  Coroutine* self = Running();
  COGI_CHECK(self != nullptr, "WaitFd() outside a coroutine: a thread's own stack cannot park");
  if (fd < 0) return WakeReason::kClosed;
  Descriptors& descriptors = self->scheduler->descriptors;
  Descriptor* found = descriptors.Get(fd);
  if (found == nullptr) return WakeReason::kNoMemory;
  Descriptor& descriptor = *found;
  if (const int failed = descriptors.Register(fd, descriptor); failed != 0)
    return failed == EBADF ? WakeReason::kClosed : WakeReason::kNoMemory;
  uint32_t latched = descriptor.latched;
  if (descriptor.mode == Descriptor::Mode::kAlwaysReady)
    latched = events;
  else if (descriptor.mode == Descriptor::Mode::kExclusive)
    latched = descriptor.latched = 0;
  if ((latched & (events | kAlways)) != 0) {
    if (got != nullptr) *got = latched;
    return WakeReason::kReady;
  }
  WaitNode& node = self->node;
  node.wanted = events;
  node.got = 0;
  descriptor.waiters.Add(node);
  const WakeReason reason = Park(WaitKind::kFd, static_cast<uintptr_t>(fd), deadline);
  if (got != nullptr) *got = node.got;
  return reason == WakeReason::kResumed ? WakeReason::kReady : reason;  // the caller tries again
}

void MarkDrained(int fd, uint32_t events) noexcept {
  Scheduler::Impl* impl = CurrentImpl();
  Descriptor* descriptor = impl == nullptr ? nullptr : impl->descriptors.Find(fd);
  if (descriptor == nullptr) return;
  // EAGAIN disproves an error or hang-up that was reported earlier: the error has been fetched
  // since, or the socket was not connected yet then.
  uint32_t disproved = events | kAlways;
  if ((events & EPOLLIN) != 0) disproved |= EPOLLRDHUP;
  descriptor->latched &= ~disproved;
}

void MarkShortRead(int fd) noexcept {
  Scheduler::Impl* impl = CurrentImpl();
  Descriptor* descriptor = impl == nullptr ? nullptr : impl->descriptors.Find(fd);
  if (descriptor == nullptr || (descriptor->latched & (kAlways | EPOLLRDHUP)) != 0) return;
  descriptor->latched &= ~static_cast<uint32_t>(EPOLLIN);
}

bool KnownDrained(int fd, uint32_t events) noexcept {
  Scheduler::Impl* impl = CurrentImpl();
  const Descriptor* descriptor = impl == nullptr ? nullptr : impl->descriptors.Find(fd);
  // Only what has been registered long enough to have reported once is known at all.
  return descriptor != nullptr && descriptor->mode == Descriptor::Mode::kEdge &&
         descriptor->reported && (descriptor->latched & (events | kAlways | EPOLLRDHUP)) == 0;
}

int PollFds(pollfd* fds, nfds_t count, Deadline deadline) {
  Coroutine* self = Running();
  COGI_CHECK(self != nullptr, "PollFds() outside a coroutine: a thread's own stack cannot park");
  for (;;) {
    const int ready = RealPoll(fds, count);
    if (ready != 0) return ready;
    if (deadline != kNoDeadline && deadline <= Clock::now()) return 0;
    PollNodes nodes;
    if (!nodes.Link(*self, fds, count)) return -1;
    const WakeReason reason =
        count == 0 ? Park(WaitKind::kTimer, 0, deadline) : Park(WaitKind::kPoll, count, deadline);
    if (reason == WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
    if (reason == WakeReason::kTimeout || reason == WakeReason::kResumed)
      return RealPoll(fds, count);
  }
}

void ForgetFd(int fd) noexcept {
  if (Scheduler::Impl* impl = CurrentImpl()) impl->descriptors.Forget(fd);
}

void ForgetFdEverywhere(int fd) {
  ForgetFd(fd);
  Scheduler::Impl::ForEachScheduler([fd](Scheduler::Impl& impl) {
    if (&impl != CurrentImpl()) impl.owner.Post([fd] { ForgetFd(fd); });
  });
}

int RegisterExclusive(int fd) noexcept {
  Scheduler::Impl* impl = CurrentImpl();
  if (impl == nullptr) return EPERM;
  if (fd < 0) return EBADF;
  Descriptor* descriptor = impl->descriptors.Get(fd);
  return descriptor == nullptr ? ENOMEM : impl->descriptors.RegisterExclusive(fd, *descriptor);
}

void UnregisterFd(int fd) noexcept {
  Scheduler::Impl* impl = CurrentImpl();
  Descriptor* descriptor = impl == nullptr ? nullptr : impl->descriptors.Find(fd);
  if (descriptor != nullptr) impl->descriptors.Unregister(fd, *descriptor);
}

}  // namespace cogi::coroutine
