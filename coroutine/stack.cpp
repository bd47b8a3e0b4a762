#include "coroutine/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <new>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

#include "coroutine/sanitizers.h"

namespace cogi::coroutine {
namespace {

constexpr size_t kSmallest = 16u << 10;
constexpr size_t kLargest = 1u << 30;

size_t PageSize() noexcept {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// InstallGuard() makes [low, low + length) fault. MADV_GUARD_INSTALL (Linux 6.13) does so without a
// mapping of its own, so that a hundred thousand stacks stay clear of vm.max_map_count.
bool InstallGuard(char* low, size_t length) noexcept {
#ifndef MADV_GUARD_INSTALL
  constexpr int MADV_GUARD_INSTALL = 102;
#endif
  static const bool fallback = std::getenv("COGI_NO_GUARD_INSTALL") != nullptr;
  if (!fallback && madvise(low, length, MADV_GUARD_INSTALL) == 0) return true;
  return mprotect(low, length, PROT_NONE) == 0;
}

}  // namespace

size_t CheckedStackSize(size_t size) noexcept {
  if (size < kSmallest || size > kLargest) return 0;
  return (size + PageSize() - 1) & ~(PageSize() - 1);
}

bool MapStack(RunStack& stack, size_t size) noexcept {
  const size_t page = PageSize();
  size = (size + page - 1) & ~(page - 1);
  void* memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return false;
  char* low = static_cast<char*>(memory);
  if (!InstallGuard(low, page)) {
    const int reason = errno;
    munmap(memory, size + page);
    errno = reason;
    return false;
  }
  madvise(memory, size + page, MADV_NOHUGEPAGE);  // a stack touches few of its pages
  stack.base = low + page;
  stack.top = stack.base + size;
  stack.dirty = stack.top;
#ifdef VALGRIND_STACK_REGISTER
  stack.valgrind_id = VALGRIND_STACK_REGISTER(stack.base, stack.top - 1);
#endif
  return true;
}

#ifdef RUNNING_ON_VALGRIND
const bool under_valgrind = [] { return RUNNING_ON_VALGRIND != 0; }();
void MakeAccessible(void* low, void* high) noexcept {
  VALGRIND_MAKE_MEM_DEFINED(low, static_cast<char*>(high) - static_cast<char*>(low));
}
#else
const bool under_valgrind = false;
void MakeAccessible(void*, void*) noexcept {}
#endif

void SetAccess(RunStack& stack, bool usable) noexcept {
  mprotect(stack.base, stack.size(), usable ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void UnmapStack(RunStack& stack) noexcept {
  if (stack.base == nullptr) return;
#ifdef VALGRIND_STACK_DEREGISTER
  VALGRIND_STACK_DEREGISTER(stack.valgrind_id);
#endif
  Unpoison(stack.base, stack.top);
  munmap(stack.base - PageSize(), stack.size() + PageSize());
  stack.base = stack.top = nullptr;
}

StackPool::~StackPool() {
  for (Size& size : sizes_) {
    for (RunStack* stack : size.free) {
      UnmapStack(*stack);
      delete stack;
    }
  }
}

RunStack* StackPool::Take(size_t size) noexcept {
  for (Size& kept : sizes_) {
    if (kept.bytes != size || kept.free.empty()) continue;
    RunStack* stack = kept.free.back();
    kept.free.pop_back();
    ++taken_;
    return stack;
  }
  auto* stack = new (std::nothrow) RunStack;
  if (stack == nullptr || !MapStack(*stack, size)) {
    delete stack;
    errno = ENOMEM;
    return nullptr;
  }
  ++taken_;
  return stack;
}

void StackPool::Give(RunStack* stack) noexcept {
  --taken_;
  stack->owner = nullptr;
  stack->pinned_by = nullptr;
  // All of it: the last frames of a coroutine never return, and it may never have been suspended.
  Unpoison(stack->base, stack->top);
  stack->dirty = stack->top;
  try {
    Size* kept = nullptr;
    for (Size& size : sizes_) {
      if (size.bytes == stack->size()) kept = &size;
    }
    if (kept == nullptr) kept = &sizes_.emplace_back(Size{stack->size(), {}});
    if (kept->free.size() < kKept) {
      kept->free.push_back(stack);
      return;
    }
  } catch (const std::bad_alloc&) {
    // No memory to remember it: give it to the kernel.
  }
  UnmapStack(*stack);
  delete stack;
}

}  // namespace cogi::coroutine
