// SharedStacks: a few large run stacks that many coroutines use in turn. A coroutine runs on the
// stack it started on, always at the same addresses; when another needs that stack, the used bytes
// of the previous owner are copied to its save buffer. See README.md for the laws that follow from
// it. One thread's; never yields.
#ifndef COGI_COROUTINE_SHARED_STACKS_H_
#define COGI_COROUTINE_SHARED_STACKS_H_

#include <memory>
#include <utility>
#include <vector>

#include "coroutine/control_block.h"
#include "coroutine/frame_copy.h"

namespace cogi::coroutine {

class SharedStacks {
 public:
  // Throws std::bad_alloc.
  SharedStacks(size_t count, size_t stack_size);
  ~SharedStacks();
  SharedStacks(const SharedStacks&) = delete;
  SharedStacks& operator=(const SharedStacks&) = delete;

  // Choose() picks the stack for a coroutine's first run: a vacant one, else one with few
  // coroutines, other than `avoid` if possible. Never a pinned one; null with errno if all are and
  // no other can be had.
  [[nodiscard]] RunStack* Choose(const RunStack* avoid) noexcept;

  // Pin() reserves `stack` for `co`; one more is added unless enough others are left. Throws
  // std::bad_alloc. Unpin() takes it back.
  void Pin(RunStack& stack, Coroutine& co);
  void Unpin(RunStack& stack) noexcept {
    stack.pinned_by = nullptr;
    --pinned_;
  }

  // Vacated() says that nobody's frames lie on `stack` any more.
  void Vacated(RunStack& stack) noexcept {
    if (stack.in_vacant_list) return;
    stack.in_vacant_list = true;
    vacant_.push_back(&stack);  // capacity is reserved
  }

  [[nodiscard]] size_t count() const { return stacks_.size(); }
  [[nodiscard]] size_t stack_size() const { return stack_size_; }

 private:
  void Grow();

  size_t wanted_;  // stacks that are not pinned
  size_t pinned_ = 0;
  size_t stack_size_;
  std::vector<std::unique_ptr<RunStack>> stacks_;
  std::vector<RunStack*> vacant_;
  size_t cursor_ = 0;
};

// What the copies have cost so far.
struct CopyStats {
  uint64_t saves, restores, bytes_saved;
};

// TakeStack() makes `co` the owner of its stack: saves the frames of the one before, restores those
// of `co`, or writes its first frame. Must not run on that stack. CHECK: memory for the save
// buffer.
void TakeStack(Coroutine& co, void (*entry)(void*), SaveBuffers& buffers,
               CopyStats& stats) noexcept;

// UsedBytes() is how much of its stack a suspended coroutine uses, in whole steps.
[[nodiscard]] inline uint32_t UsedBytes(const RunStack& stack, const Coroutine& co) noexcept {
  const auto used = static_cast<size_t>(stack.top - static_cast<char*>(co.sp));
  return static_cast<uint32_t>((used + kCopyStep - 1) & ~(kCopyStep - 1));
}

#if !COGI_SANITIZED

inline void CountExchange(CopyStats& stats, uint32_t bytes) noexcept {
  ++stats.saves;
  ++stats.restores;
  stats.bytes_saved += bytes;
}

// Displace() is TakeStack() for the case that is frequent and must be fast: both have run, and the
// frames of one change for those of the other. Returns false, with nothing done, if this is another
// case. Exchange() is the same for frames of one size (coroutines that wait in the same place): the
// buffers change hands with them, and both copies are one.
template <class Line>
[[nodiscard, gnu::always_inline]] inline bool Displace(Coroutine& co, SaveBuffers& buffers,
                                                       CopyStats& stats) noexcept {
  RunStack& stack = *co.stack;
  Coroutine* owner = stack.owner;
  if (owner == nullptr || under_valgrind) return false;
  const uint32_t leaving = UsedBytes(stack, *owner), coming = co.save.used;
  if (!buffers.Fit(owner->save, leaving)) return false;
  SaveFrames<Line>(owner->save.data, stack.top - leaving, leaving);
  owner->save.used = leaving;
  owner->Mark(kElsewhere);
  stack.owner = &co;
  RestoreFrames<Line>(stack.top - coming, co.save.data, coming);
  co.save.used = 0;
  co.Unmark(kElsewhere);
  CountExchange(stats, leaving);
  return true;
}

template <class Line>
[[nodiscard, gnu::always_inline]] inline bool Exchange(Coroutine& co, CopyStats& stats) noexcept {
  RunStack& stack = *co.stack;
  Coroutine* owner = stack.owner;
  if (owner == nullptr || under_valgrind) return false;
  const uint32_t size = UsedBytes(stack, *owner), kept = owner->save.capacity;
  if (size != co.save.used || (kept != co.save.capacity && kept != 0)) return false;
  ExchangeFrames<Line>(stack.top - size, co.save.data, size);
  std::swap(owner->save, co.save);
  co.save.used = 0;
  owner->Mark(kElsewhere);
  stack.owner = &co;
  co.Unmark(kElsewhere);
  CountExchange(stats, size);
  return true;
}

#endif

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SHARED_STACKS_H_
