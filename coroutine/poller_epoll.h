// The Poller (poller.h) on epoll(7).
#ifndef COGI_COROUTINE_POLLER_EPOLL_H_
#define COGI_COROUTINE_POLLER_EPOLL_H_

#include <sys/epoll.h>

#include <cstdint>

namespace cogi::coroutine {

class EpollPoller {
 public:
  static constexpr int kReports = 256;
  class Report {
   public:
    [[nodiscard]] int fd() const noexcept { return static_cast<int>(event_.data.u64 & 0xffffffff); }
    [[nodiscard]] uint32_t generation() const noexcept {
      return static_cast<uint32_t>(event_.data.u64 >> 32);
    }
    [[nodiscard]] uint32_t events() const noexcept { return event_.events; }

   private:
    friend class EpollPoller;
    epoll_event event_;
  };

  EpollPoller();
  ~EpollPoller();
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;

  int Add(int fd, uint32_t generation, uint32_t& known) noexcept;
  int AddExclusive(int fd, uint32_t generation) noexcept;
  void Remove(int fd) noexcept;
  int Wait(Report* reports, int64_t wait) noexcept;
  void Signal() const noexcept;

  [[nodiscard]] uint64_t waits() const noexcept { return waits_; }
  [[nodiscard]] uint64_t controls() const noexcept { return controls_; }

 private:
  int AddAnew(int fd, uint32_t events, uint32_t generation) noexcept;
  int Control(int operation, int fd, uint32_t events, uint32_t generation) noexcept;

  int epoll_ = -1;
  int wake_ = -1;
  bool old_kernel_ = false;  // no epoll_pwait2
  uint64_t waits_ = 0, controls_ = 0;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_POLLER_EPOLL_H_
