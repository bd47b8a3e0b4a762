// Run stacks: guarded memory that coroutines run on. A private stack belongs to one coroutine for
// its life; a shared one is run on by many in turn (see shared_stacks.h). One thread's; never
// yields.
#ifndef COGI_COROUTINE_STACK_H_
#define COGI_COROUTINE_STACK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cogi::coroutine {

class Coroutine;
class SharedStacks;

// RunStack: [base, top) is usable, below it lies a guard that faults.
struct RunStack {
  char* base = nullptr;
  char* top = nullptr;
  Coroutine* owner = nullptr;         // whose frames lie on it now; null: nobody's
  Coroutine* pinned_by = nullptr;     // it may not be given to another; null: not pinned
  Coroutine* blocked_head = nullptr;  // ready, but must wait for the unpin; linked by ready_next
  uint32_t assigned = 0;              // live coroutines that have started on it
  bool shared = false;
  bool in_vacant_list = false;
  SharedStacks* pool = nullptr;  // shared: whose it is
  char* dirty = nullptr;         // lowest address that earlier frames have reached (sanitizers)
  unsigned valgrind_id = 0;
  [[nodiscard]] size_t size() const { return static_cast<size_t>(top - base); }
  [[nodiscard]] bool Contains(const void* address) const {
    return address >= base && address < top;
  }
};

// MapStack() gives `stack` `size` usable bytes (rounded up to pages) above a guard page. Returns
// false, errno set, if the kernel refuses.
[[nodiscard]] bool MapStack(RunStack& stack, size_t size) noexcept;
void UnmapStack(RunStack& stack) noexcept;

// Under Valgrind, memory below the last stack pointer counts as freed: MakeAccessible() says that
// [low, high) of a stack is about to be copied from or to.
extern const bool under_valgrind;
void MakeAccessible(void* low, void* high) noexcept;

// SetAccess() makes the stack usable or, to find pointers that escaped from it, inaccessible.
void SetAccess(RunStack& stack, bool usable) noexcept;

// CheckedStackSize() is `size` rounded up to pages if it lies within 16 KiB to 1 GiB, else 0.
[[nodiscard]] size_t CheckedStackSize(size_t size) noexcept;

// StackPool keeps private stacks that are free for the next coroutine.
class StackPool {
 public:
  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Take() returns a stack of `size` bytes (as CheckedStackSize() gives it), or null with errno.
  [[nodiscard]] RunStack* Take(size_t size) noexcept;
  // Give() takes a stack back. At most kKept free ones of a size are kept, the rest is unmapped.
  void Give(RunStack* stack) noexcept;
  // The number of stacks that are taken.
  [[nodiscard]] size_t taken() const { return taken_; }

 private:
  static constexpr size_t kKept = 64;
  struct Size {
    size_t bytes;
    std::vector<RunStack*> free;
  };
  std::vector<Size> sizes_;
  size_t taken_ = 0;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_STACK_H_
