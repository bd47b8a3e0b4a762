// Descriptors: one scheduler's epoll instance and what is known of each descriptor in it. See
// event_loop.h for the rules. One thread's; never yields.
#ifndef COGI_COROUTINE_DESCRIPTORS_H_
#define COGI_COROUTINE_DESCRIPTORS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "coroutine/wait.h"

namespace cogi::coroutine {

struct Descriptor {
  enum class Mode : uint8_t {
    kNone,          // not registered
    kEdge,          // registered once, edge-triggered
    kAlwaysReady,   // epoll refuses it: a regular file or directory
    kExclusive,     // level-triggered, shared with other processes
    kExclusiveOff,  // the same, but taken out until the next wait
  };
  WaitList waiters;
  uint32_t generation = 0;  // counts registrations, so that late events of earlier ones are known
  uint32_t latched = 0;     // what edges have reported and no call has used up
  Mode mode = Mode::kNone;
  bool reported = false;  // an event has come since it was registered
};

class Descriptors {
 public:
  // Throws std::system_error if there is no epoll instance or eventfd to be had.
  Descriptors();
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // Find() is the entry of `fd` if it was ever used, else null.
  [[nodiscard]] Descriptor* Find(int fd) noexcept {
    const auto chunk = static_cast<size_t>(fd) / kChunk;
    if (fd < 0 || chunk >= chunks_.size() || chunks_[chunk] == nullptr) return nullptr;
    return &chunks_[chunk][static_cast<size_t>(fd) % kChunk];
  }
  // Get() makes the entry if need be. Throws std::bad_alloc. `fd` >= 0.
  [[nodiscard]] Descriptor& Get(int fd);

  // Register() makes the kernel report on `fd`. Returns 0 or an errno (EBADF).
  int Register(int fd, Descriptor& descriptor) noexcept;
  int RegisterExclusive(int fd, Descriptor& descriptor) noexcept;
  void Unregister(int fd, Descriptor& descriptor) noexcept;
  void Forget(int fd) noexcept;

  // Poll() collects events and wakes waiters. It waits for them until `deadline` (ns of
  // CLOCK_MONOTONIC; 0: not at all; TimerWheel::kNever: for ever). `now` is the time of the call.
  void Poll(int64_t deadline, int64_t now) noexcept;

  // Signal() ends a Poll() that waits. Thread-safe, signal-safe.
  void Signal() const noexcept;

  [[nodiscard]] uint64_t waits() const { return waits_; }
  [[nodiscard]] uint64_t controls() const { return controls_; }

 private:
  static constexpr size_t kChunk = 256;
  void Dispatch(int fd, uint32_t generation, uint32_t events) noexcept;
  int Control(int operation, int fd, uint32_t events, uint32_t generation) noexcept;

  int epoll_ = -1;
  int wake_ = -1;
  bool old_kernel_ = false;  // no epoll_pwait2
  std::vector<std::unique_ptr<Descriptor[]>> chunks_;
  uint64_t waits_ = 0, controls_ = 0;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_DESCRIPTORS_H_
