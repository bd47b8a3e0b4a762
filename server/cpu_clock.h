// CpuClock: how long a coroutine runs while it answers a request; the rest of the time it waits. A
// switch hook, so that it counts from turn to turn; what else may have to be carried over switches
// (a program's state) goes in front of it. Time on CLOCK_MONOTONIC: if the process itself waits for
// a CPU, that counts. Never yields.
#ifndef COGI_SERVER_CPU_CLOCK_H_
#define COGI_SERVER_CPU_CLOCK_H_

#include <chrono>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"

namespace cogi::server {

class CpuClock final : public coroutine::SwitchHook {
 public:
  // Start() begins to count for the running coroutine, Stop() ends it and returns the sum.
  void Start() {
    total_ = {};
    coroutine::SetSwitchHook(*coroutine::Current(), this);
  }
  std::chrono::nanoseconds Stop() {
    coroutine::SetSwitchHook(*coroutine::Current(), nullptr);
    return total_;
  }

  void Enter(coroutine::Coroutine&) noexcept override { since_ = coroutine::Clock::now(); }
  void Leave(coroutine::Coroutine&) noexcept override {
    total_ += coroutine::Clock::now() - since_;
  }

 private:
  std::chrono::nanoseconds total_{0};
  coroutine::Deadline since_{};
};

}  // namespace cogi::server

#endif  // COGI_SERVER_CPU_CLOCK_H_
