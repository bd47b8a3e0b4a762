// Descriptors: what is known of each descriptor that one scheduler's Poller reports on. See
// event_loop.h for the rules. One thread's; never yields.
#ifndef COGI_COROUTINE_DESCRIPTORS_H_
#define COGI_COROUTINE_DESCRIPTORS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "coroutine/poller.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

struct Descriptor {
  enum class Mode : uint8_t {
    kNone,          // not registered
    kEdge,          // registered once, edge-triggered
    kAlwaysReady,   // the kernel does not report on it: a regular file or directory
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
  // Throws std::system_error if there is no Poller to be had.
  Descriptors() = default;
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // Find() is the entry of `fd` if it was ever used, else null.
  [[nodiscard]] Descriptor* Find(int fd) noexcept {
    const auto chunk = static_cast<size_t>(fd) / kChunk;
    if (fd < 0 || chunk >= chunks_.size() || chunks_[chunk] == nullptr) return nullptr;
    return &chunks_[chunk][static_cast<size_t>(fd) % kChunk];
  }
  // Get() makes the entry if need be. Null without memory. `fd` >= 0.
  [[nodiscard]] Descriptor* Get(int fd) noexcept {
    Descriptor* known = Find(fd);
    return known != nullptr ? known : Make(fd);
  }

  // Register() makes the kernel report on `fd`. Returns 0 or an errno (EBADF, ENOMEM, ENOSPC).
  int Register(int fd, Descriptor& descriptor) noexcept {
    if (descriptor.mode == Descriptor::Mode::kEdge) return 0;
    return RegisterAnew(fd, descriptor);
  }
  int RegisterExclusive(int fd, Descriptor& descriptor) noexcept;
  void Unregister(int fd, Descriptor& descriptor) noexcept;
  void Forget(int fd) noexcept;

  // Poll() collects events and wakes waiters. It waits for them until `deadline` (ns of
  // CLOCK_MONOTONIC; 0: not at all; TimerWheel::kNever: for ever). `now` is the time of the call.
  void Poll(int64_t deadline, int64_t now) noexcept;

  // Signal() ends a Poll() that waits. Thread-safe, signal-safe.
  void Signal() const noexcept { poller_.Signal(); }

  [[nodiscard]] uint64_t waits() const { return poller_.waits(); }
  [[nodiscard]] uint64_t controls() const { return poller_.controls(); }

 private:
  static constexpr size_t kChunk = 256;
  Descriptor* Make(int fd) noexcept;
  int RegisterAnew(int fd, Descriptor& descriptor) noexcept;
  void Dispatch(int fd, uint32_t generation, uint32_t events) noexcept;

  Poller poller_;
  std::vector<std::unique_ptr<Descriptor[]>> chunks_;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_DESCRIPTORS_H_
