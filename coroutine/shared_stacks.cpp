#include "coroutine/shared_stacks.h"

#include <cerrno>
#include <cstring>

#include "coroutine/check.h"

namespace cogi::coroutine {
namespace {

// Copies are made in steps of 16 bytes: a little more than asked is copied, from below the stack
// pointer, where nothing is (the red zone belongs to a leaf, and a suspended context is none).
constexpr uint32_t kCopyStep = 16;

#if !COGI_SANITIZED
using Vector = long long __attribute__((vector_size(16)));
inline Vector Load(const char* from) noexcept {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
inline void Store(char* to, Vector value) noexcept { __builtin_memcpy(to, &value, sizeof value); }
#endif

#if COGI_SANITIZED
COGI_UNINSTRUMENTED void CopyFrames(char* to, const char* from, size_t size) noexcept {
#if defined(__x86_64__)
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#else
  // Through volatile, or the compiler makes a call of (instrumented) memcpy() of it.
  for (; size != 0; --size) *static_cast<volatile char*>(to++) = *from++;
#endif
}
#else
inline void CopyFrames(char* to, const char* from, size_t size) noexcept {
  if (size > 1024) {
    std::memcpy(to, from, size);
    return;
  }
  // Four loads before four stores; the call, and the choice that memcpy would have to make by size,
  // cost as much as these copies.
  for (; size >= 64; size -= 64, to += 64, from += 64) {
    const Vector a = Load(from), b = Load(from + 16), c = Load(from + 32), d = Load(from + 48);
    Store(to, a);
    Store(to + 16, b);
    Store(to + 32, c);
    Store(to + 48, d);
  }
  for (; size != 0; size -= kCopyStep, to += kCopyStep, from += kCopyStep) Store(to, Load(from));
}
#endif

// Fetch() asks for memory that is about to be read: among a million coroutines it is not at hand.
inline void Fetch(const char* data, size_t size) noexcept {
  for (size_t at = 0; at < size && at < 512; at += 64) __builtin_prefetch(data + at);
}

uint32_t UsedBytes(const Coroutine& co) noexcept {
  const auto used = static_cast<size_t>(co.stack->top - static_cast<char*>(co.sp));
  return static_cast<uint32_t>((used + kCopyStep - 1) & ~size_t{kCopyStep - 1});
}

void Save(Coroutine& co, SaveBuffers& buffers, CopyStats& stats) noexcept {
  const uint32_t size = UsedBytes(co);
  COGI_CHECK(buffers.Fit(co.save, size),
             "out of memory while the frames of a parked coroutine were saved: limit the number of "
             "coroutines (max_coroutines) or give the process more memory");
  if (under_valgrind) MakeAccessible(co.stack->top - size, co.sp);
  CopyFrames(co.save.data, co.stack->top - size, size);
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
  Fetch(co.save.data, co.save.used);
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
    CopyFrames(low, co.save.data, co.save.used);
    co.save.used = 0;
    ++stats.restores;
  }
#if COGI_ASAN
  stack.dirty = stack.top;
#endif
}

}  // namespace cogi::coroutine
