// Once warm, a coroutine's life takes no memory from anybody: neither from malloc() nor from the
// kernel. This program stands before libc's functions and counts their calls.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <string>

#include "coroutine/sync.h"
#include "tests/coroutine/fixture.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace {

struct Calls {
  long allocate, release, kernel;
  long all() const { return allocate + release + kernel; }
};
Calls calls;

}  // namespace

#pragma GCC visibility push(default)  // libstdc++ is to find them, too
extern "C" {

void* malloc(size_t size) {
  ++calls.allocate;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++calls.allocate;
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  ++calls.allocate;
  return __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
  ++calls.allocate;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  if (block == nullptr) return;
  ++calls.release;
  __libc_free(block);
}
void* mmap(void* address, size_t size, int access, int flags, int fd, off_t offset) noexcept {
  ++calls.kernel;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, access, flags, fd, offset));
}
int munmap(void* address, size_t size) noexcept {
  ++calls.kernel;
  return static_cast<int>(syscall(SYS_munmap, address, size));
}
int mprotect(void* address, size_t size, int access) noexcept {
  ++calls.kernel;
  return static_cast<int>(syscall(SYS_mprotect, address, size, access));
}
int madvise(void* address, size_t size, int advice) noexcept {
  ++calls.kernel;
  return static_cast<int>(syscall(SYS_madvise, address, size, advice));
}

}  // extern "C"
#pragma GCC visibility pop

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;

class Warm : public InBothStackModes {
 protected:
  static constexpr int kCount = 50;  // private stacks: 64 free ones are kept

  // What `life` costs: 20 rounds of kCount coroutines that live it, after three to warm up.
  template <class Life>
  Calls CallsOf(Life life) {
    for (int round = 0; round < 3; ++round) Round(life);
    const Calls before = calls;
    for (int round = 0; round < 20; ++round) Round(life);
    return {calls.allocate - before.allocate, calls.release - before.release,
            calls.kernel - before.kernel};
  }

 private:
  template <class Life>
  void Round(Life life) {
    for (int i = 0; i < kCount; ++i) scheduler_->Spawn(life, Mode());
    scheduler_->Run();
  }
};
COGI_IN_BOTH_STACK_MODES(Warm);

TEST_P(Warm, ACoroutineThatRunsAndEndsTakesNoMemory) {
  long ran = 0;
  const Calls made = CallsOf([&ran] { ++ran; });
  EXPECT_EQ(ran, 23 * kCount);
  EXPECT_EQ(made.allocate, 0);
  EXPECT_EQ(made.release, 0);
  EXPECT_EQ(made.kernel, 0);
}

TEST_P(Warm, ManyThatWaitInTurnsAtSeveralDepthsTakeNoMemory) {
  Semaphore semaphore(1);
  const Calls made = CallsOf([&semaphore] {
    Yield();
    KeepsFrame<900>(1, [] { Yield(); });
    KeepsFrame<2000>(2, [] { SleepFor(1us); });
    EXPECT_EQ(semaphore.Acquire(After(10s)), WakeReason::kReady);
    Yield();
    semaphore.Release();
  });
  EXPECT_EQ(made.allocate, 0);
  EXPECT_EQ(made.release, 0);
  EXPECT_EQ(made.kernel, 0);
}

TEST_P(Warm, WhatIsCountedIsCounted) {
  const std::array<char, 64> large{};
  const Calls captures = CallsOf([large] { static_cast<void>(large); });
  EXPECT_EQ(captures.allocate, 20 * kCount) << "captures beyond two words lie on the heap";
  EXPECT_EQ(captures.release, 20 * kCount);
  const Calls before = calls;
  scheduler_.reset();
  EXPECT_GT(calls.kernel, before.kernel) << "stacks and control blocks went back";
  scheduler_ = std::make_unique<Scheduler>(Options());
}

}  // namespace
}  // namespace cogi::coroutine
