// TimerWheel: deadlines on CLOCK_MONOTONIC, any number of them, as far away as 64 bits of
// nanoseconds reach. Arming and cancelling take constant time; the next deadline is known to the
// nanosecond, so that the loop sleeps exactly that long. One thread's; never yields.
//
// Eight levels of 64 slots. A timer lies in the level of the highest six-bit digit in which its
// tick (deadline / 65.5 us) differs from the wheel's, so all timers of a level are due before all
// those of the next, and the wheel goes from one used slot straight to the next.
#ifndef COGI_COROUTINE_TIMER_WHEEL_H_
#define COGI_COROUTINE_TIMER_WHEEL_H_

#include <cstddef>
#include <cstdint>

namespace cogi::coroutine {

// TimerNode is embedded in what waits.
struct TimerNode {
  TimerNode* prev = nullptr;  // null: not armed
  TimerNode* next = nullptr;
  int64_t deadline = 0;  // ns of CLOCK_MONOTONIC
  uint32_t slot = 0;
};

class TimerWheel {
 public:
  static constexpr int64_t kNever = INT64_MAX;

  explicit TimerWheel(int64_t now) noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arm() files `node`, which must not be armed, under `deadline`. One in the past is due at once.
  void Arm(TimerNode& node, int64_t deadline) noexcept;
  // Cancel() takes `node` out if it is armed.
  void Cancel(TimerNode& node) noexcept {
    if (node.prev == nullptr) return;
    node.prev->next = node.next;
    node.next->prev = node.prev;
    node.prev = nullptr;
    --armed_;
    Slot& slot = slots_[node.slot];
    if (slot.head.next == &slot.head)
      occupied_[node.slot / kSlots] &= ~(uint64_t{1} << node.slot % kSlots);
    else if (node.deadline == slot.earliest)
      slot.earliest = kUnknown;
  }

  // NextDeadline() is the earliest armed deadline, kNever if there is none.
  [[nodiscard]] int64_t NextDeadline() noexcept;

  // TakeDue() takes out the timers whose deadline is at or before `now` and returns them linked by
  // `next` (null at the end), earliest first.
  [[nodiscard]] TimerNode* TakeDue(int64_t now) noexcept;

  [[nodiscard]] size_t armed() const { return armed_; }

 private:
  static constexpr int kTickBits = 16, kSlotBits = 6, kSlots = 64, kLevels = 8;
  static constexpr int64_t kUnknown = -1;
  struct Slot {
    TimerNode head;    // circular
    int64_t earliest;  // of its timers, or kUnknown after that one was cancelled
  };

  static uint64_t Tick(int64_t deadline) noexcept {
    return static_cast<uint64_t>(deadline) >> kTickBits;
  }
  [[nodiscard]] uint32_t FirstSlot() const noexcept;  // in order of time; kSlots * kLevels: none
  void File(TimerNode& node) noexcept;
  void Refile(uint32_t slot) noexcept;
  TimerNode** TakeDueOf(uint32_t slot, int64_t now, TimerNode** tail) noexcept;
  static TimerNode* Sort(TimerNode* list) noexcept;

  uint64_t tick_;  // no armed timer's tick is below it
  uint64_t occupied_[kLevels] = {};
  size_t armed_ = 0;
  Slot slots_[kSlots * kLevels];
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_TIMER_WHEEL_H_
