// Which coroutine of this thread owns which lock: libc records the thread, which all its coroutines
// share. An open-addressing table by the lock's address, one per thread. Never yields.
#ifndef COGI_HOOKS_LOCK_OWNERS_H_
#define COGI_HOOKS_LOCK_OWNERS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cogi::hooks {

enum class LockKind : uint8_t { kMutex, kWriteLock, kFile, kOnce, kGuard };

struct Owner {
  const void* lock = nullptr;  // its key (lock_parking.h); null: a free slot
  uint64_t coroutine = 0;      // its Id()
  uint32_t depth = 0;          // how often it has locked
  LockKind kind = LockKind::kMutex;
};

class OwnerTable {
 public:
  // This thread's table.
  [[nodiscard]] static OwnerTable& Here();

  // Find() returns the owner of `lock`, or null. Valid until the next Add() or Remove().
  [[nodiscard]] Owner* Find(const void* lock) noexcept;
  // Add() records an owner with depth 1. `lock` must not be in the table. Throws std::bad_alloc.
  void Add(const void* lock, uint64_t coroutine, LockKind kind);
  void Remove(const void* lock) noexcept;
  [[nodiscard]] bool empty() const noexcept { return used_ == 0; }
  // Any lock of `coroutine`, or null.
  [[nodiscard]] const Owner* AnyOf(uint64_t coroutine) const noexcept;

 private:
  [[nodiscard]] size_t Home(const void* lock) const noexcept;
  void Grow();

  std::vector<Owner> slots_;  // a power of two, at most half used
  size_t used_ = 0;
};

// ThisThread() is gettid(), kept: what libc writes into a lock as its owner.
[[nodiscard]] pid_t ThisThread() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_LOCK_OWNERS_H_
