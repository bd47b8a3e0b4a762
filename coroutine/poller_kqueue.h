// The Poller (poller.h) on kqueue(2), as FreeBSD and macOS have it. Written from their manuals and
// run against a double of kqueue() and kevent() only (tests/coroutine/kqueue); it has not run on
// those systems.
//
// A descriptor has a filter for each direction, and where the system has it (EVFILT_EXCEPT) one for
// urgent data. The kernel forgets them when the number is closed. There is no counterpart of
// EPOLLEXCLUSIVE: every process that waits for a listener is woken.
#ifndef COGI_COROUTINE_POLLER_KQUEUE_H_
#define COGI_COROUTINE_POLLER_KQUEUE_H_

#include <sys/types.h>
// sys/types.h must come first on these systems.
#include <sys/event.h>

#include <cstdint>

namespace cogi::coroutine {

class KqueuePoller {
 public:
  static constexpr int kReports = 128;
  class Report {
   public:
    [[nodiscard]] int fd() const noexcept {
      return event_.filter == EVFILT_USER ? -1 : static_cast<int>(event_.ident);
    }
    [[nodiscard]] uint32_t generation() const noexcept {
      return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(event_.udata));
    }
    [[nodiscard]] uint32_t events() const noexcept;

   private:
    friend class KqueuePoller;
    struct kevent event_;
  };

  KqueuePoller();
  ~KqueuePoller();
  KqueuePoller(const KqueuePoller&) = delete;
  KqueuePoller& operator=(const KqueuePoller&) = delete;

  int Add(int fd, uint32_t generation, uint32_t& known) noexcept;
  int AddExclusive(int fd, uint32_t generation) noexcept;
  void Remove(int fd) noexcept;
  int Wait(Report* reports, int64_t wait) noexcept;
  void Signal() const noexcept;

  [[nodiscard]] uint64_t waits() const noexcept { return waits_; }
  [[nodiscard]] uint64_t controls() const noexcept { return controls_; }

 private:
  // Change() makes the changes and leaves in the data of each its errno or 0.
  void Change(struct kevent* changes, int count) noexcept;

  int kqueue_ = -1;
  uint64_t waits_ = 0, controls_ = 0;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_POLLER_KQUEUE_H_
