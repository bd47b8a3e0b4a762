#include "coroutine/shared_stacks.h"

#include <cerrno>

#include "coroutine/check.h"
#include "coroutine/frame_copy.h"

namespace cogi::coroutine {
namespace {

void Save(Coroutine& co, SaveBuffers& buffers, CopyStats& stats) noexcept {
  const uint32_t size = UsedBytes(*co.stack, co);
  COGI_CHECK(buffers.Fit(co.save, size),
             "out of memory while the frames of a parked coroutine were saved: limit the number of "
             "coroutines (max_coroutines) or give the process more memory");
  if (under_valgrind) MakeAccessible(co.stack->top - size, co.sp);
#if COGI_SANITIZED
  CopyFrames(co.save.data, co.stack->top - size, size);
#else
  SaveFrames<Narrow>(co.save.data, co.stack->top - size, size);
#endif
  co.save.used = size;
  co.Mark(kElsewhere);
  ++stats.saves;
  stats.bytes_saved += size;
#if COGI_ASAN
  if (static_cast<char*>(co.sp) < co.stack->dirty) co.stack->dirty = static_cast<char*>(co.sp);
#endif
}

}  // namespace

SharedStacks::SharedStacks(size_t count, size_t stack_size)
    : wanted_(count), stack_size_(stack_size) {
  for (size_t i = 0; i < count; ++i) Grow();
}

SharedStacks::~SharedStacks() {
  for (auto& stack : stacks_) UnmapStack(*stack);
}

void SharedStacks::Pin(RunStack& stack, Coroutine& co) {
  if (stacks_.size() - pinned_ <= wanted_) Grow();
  stack.pinned_by = &co;
  ++pinned_;
}

void SharedStacks::Grow() {
  auto stack = std::make_unique<RunStack>();
  stacks_.reserve(stacks_.size() + 1);
  vacant_.reserve(stacks_.size() + 1);
  if (!MapStack(*stack, stack_size_)) throw std::bad_alloc();
  stack->shared = true;
  stack->pool = this;
  stacks_.push_back(std::move(stack));
  Vacated(*stacks_.back());
}

RunStack* SharedStacks::Choose(const RunStack* avoid) noexcept {
  while (!vacant_.empty()) {
    RunStack* stack = vacant_.back();
    vacant_.pop_back();
    stack->in_vacant_list = false;
    if (stack->owner == nullptr && stack->pinned_by == nullptr) return stack;
  }
  constexpr size_t kLookedAt = 8;
  RunStack* best = nullptr;
  const size_t looks = stacks_.size() < kLookedAt ? stacks_.size() : kLookedAt;
  for (size_t i = 0; i < stacks_.size(); ++i) {
    if (i >= looks && best != nullptr) break;
    RunStack* stack = stacks_[cursor_++ % stacks_.size()].get();
    if (stack->pinned_by != nullptr) continue;
    if (best == nullptr || best == avoid || (stack != avoid && stack->assigned < best->assigned))
      best = stack;
  }
  if (best != nullptr) return best;
  try {
    Grow();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return nullptr;
  }
  return Choose(avoid);
}

void TakeStack(Coroutine& co, void (*entry)(void*), SaveBuffers& buffers,
               CopyStats& stats) noexcept {
  RunStack& stack = *co.stack;
  if (stack.owner != nullptr && stack.owner != &co) Save(*stack.owner, buffers, stats);
  stack.owner = &co;
  co.Unmark(kElsewhere);
  if (co.sp == nullptr) {
    Unpoison(stack.base, stack.top);  // all: the last owner's last frames never returned
    if (under_valgrind) MakeAccessible(stack.top - 2 * sizeof(SwitchFrame), stack.top);
    co.sp = MakeContext(stack.top, entry, &co);
  } else if (co.save.used != 0) {
    char* low = stack.top - co.save.used;
    Unpoison(stack.dirty < low ? stack.dirty : low, stack.top);
    if (under_valgrind) MakeAccessible(low, stack.top);
#if COGI_SANITIZED
    CopyFrames(low, co.save.data, co.save.used);
#else
    RestoreFrames<Narrow>(low, co.save.data, co.save.used);
#endif
    co.save.used = 0;
    ++stats.restores;
  }
#if COGI_ASAN
  stack.dirty = stack.top;
#endif
}

}  // namespace cogi::coroutine
