#include "coroutine/timer_wheel.h"

#include <bit>

namespace cogi::coroutine {

TimerWheel::TimerWheel(int64_t now) noexcept : tick_(Tick(now)) {
  for (Slot& slot : slots_) {
    slot.head.prev = slot.head.next = &slot.head;
    slot.earliest = kUnknown;
  }
}

void TimerWheel::Arm(TimerNode& node, int64_t deadline) noexcept {
  node.deadline = deadline;
  File(node);
  ++armed_;
}

void TimerWheel::File(TimerNode& node) noexcept {
  uint64_t tick = node.deadline < 0 ? 0 : Tick(node.deadline);
  if (tick < tick_) tick = tick_;  // overdue: the current slot
  const uint64_t difference = tick ^ tick_;
  const uint32_t level =
      difference == 0 ? 0 : static_cast<uint32_t>(std::bit_width(difference) - 1) / kSlotBits;
  const uint32_t index = (tick >> (level * kSlotBits)) % kSlots;
  node.slot = level * kSlots + index;
  Slot& slot = slots_[node.slot];
  const uint64_t bit = uint64_t{1} << index;
  if ((occupied_[level] & bit) == 0) {
    occupied_[level] |= bit;
    slot.earliest = node.deadline;
  } else if (node.deadline < slot.earliest) {
    slot.earliest = node.deadline;  // an unknown earliest (-1) stays unknown
  }
  node.prev = slot.head.prev;
  node.next = &slot.head;
  node.prev->next = &node;
  slot.head.prev = &node;
}

uint32_t TimerWheel::FirstSlot() const noexcept {
  for (uint32_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] != 0)
      return level * kSlots + static_cast<uint32_t>(std::countr_zero(occupied_[level]));
  }
  return kSlots * kLevels;
}

int64_t TimerWheel::NextDeadline() noexcept {
  const uint32_t first = FirstSlot();
  if (first == kSlots * kLevels) return kNever;
  Slot& slot = slots_[first];
  if (slot.earliest == kUnknown) {
    slot.earliest = kNever;
    for (TimerNode* node = slot.head.next; node != &slot.head; node = node->next) {
      if (node->deadline < slot.earliest) slot.earliest = node->deadline;
    }
  }
  return slot.earliest;
}

TimerNode* TimerWheel::TakeDue(int64_t now) noexcept {
  TimerNode* due = nullptr;
  TimerNode** tail = &due;
  const uint64_t now_tick = Tick(now);
  for (;;) {
    const uint32_t first = FirstSlot();
    if (first == kSlots * kLevels) break;
    const uint32_t level = first / kSlots, shift = level * kSlotBits;
    const uint64_t above = shift + kSlotBits < 64 ? tick_ >> (shift + kSlotBits) : 0;
    const uint64_t start = ((above << kSlotBits) | first % kSlots) << shift;
    if (start > now_tick) break;
    if (level > 0) {
      tick_ = start;
      Refile(first);
      continue;
    }
    tick_ = start > tick_ ? start : tick_;
    tail = TakeDueOf(first, now, tail);
    if ((occupied_[0] >> first & 1) != 0) return Sort(due);  // the rest of this tick is not due yet
  }
  if (now_tick > tick_) tick_ = now_tick;
  return Sort(due);
}

void TimerWheel::Refile(uint32_t slot_index) noexcept {
  Slot& slot = slots_[slot_index];
  TimerNode* node = slot.head.next;
  slot.head.prev->next = nullptr;
  slot.head.prev = slot.head.next = &slot.head;
  occupied_[slot_index / kSlots] &= ~(uint64_t{1} << slot_index % kSlots);
  while (node != nullptr) {
    TimerNode* next = node->next;
    File(*node);
    node = next;
  }
}

TimerNode** TimerWheel::TakeDueOf(uint32_t slot_index, int64_t now, TimerNode** tail) noexcept {
  Slot& slot = slots_[slot_index];
  for (TimerNode* node = slot.head.next; node != &slot.head;) {
    TimerNode* next = node->next;
    if (node->deadline <= now) {
      Cancel(*node);
      node->next = nullptr;
      *tail = node;
      tail = &node->next;
    }
    node = next;
  }
  return tail;
}

// A merge sort of the list, stable; most lists are of one or sorted already.
TimerNode* TimerWheel::Sort(TimerNode* list) noexcept {
  TimerNode* node = list;
  while (node != nullptr && node->next != nullptr && node->deadline <= node->next->deadline)
    node = node->next;
  if (node == nullptr || node->next == nullptr) return list;
  TimerNode* slow = list;
  for (TimerNode* fast = list->next; fast != nullptr && fast->next != nullptr;
       fast = fast->next->next)
    slow = slow->next;
  TimerNode* right = Sort(slow->next);
  slow->next = nullptr;
  TimerNode* left = Sort(list);
  TimerNode* merged = nullptr;
  TimerNode** tail = &merged;
  while (left != nullptr && right != nullptr) {
    TimerNode*& smaller = right->deadline < left->deadline ? right : left;
    *tail = smaller;
    tail = &smaller->next;
    smaller = smaller->next;
  }
  *tail = left != nullptr ? left : right;
  return merged;
}

}  // namespace cogi::coroutine
