// ProgramHeap: which blocks of the process's one malloc belong to a program, so that what it did
// not free is freed at its end. A side table over the real malloc: libc's own realloc() and free()
// work on every block.
//
// A block is the program's if the program asked for it, or libstdc++ did on its behalf (the
// caller's address tells), or libc made it as a result that the caller has to free (strdup,
// getline, asprintf, ...). Blocks that other libraries or libc keep for themselves are nobody's:
// they may outlive the request.
//
// Under the sanitizers, which bring their own malloc, nothing is tracked and nothing is freed.
#ifndef COGI_HOOKS_PROGRAM_HEAP_H_
#define COGI_HOOKS_PROGRAM_HEAP_H_

#include <cstddef>
#include <cstdint>

#include "coroutine/export.h"

namespace cogi::hooks {

// AddressRange is [begin, end).
struct AddressRange {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  [[nodiscard]] bool Contains(const void* address) const noexcept {
    return reinterpret_cast<uintptr_t>(address) - begin < end - begin;
  }
};

// Never yields. Belongs to one thread.
class COGI_API ProgramHeap {
 public:
  ProgramHeap() = default;
  ~ProgramHeap();
  ProgramHeap(const ProgramHeap&) = delete;
  ProgramHeap& operator=(const ProgramHeap&) = delete;

  // Begin() says whose calls count: code in `program`, and in `library` (libstdc++; empty if the
  // program does not use it). `limit` in bytes; 0: none.
  void Begin(AddressRange program, AddressRange library, size_t limit) noexcept;

  // OwnsCaller() tells whether a block asked for by the code at `caller` is the program's.
  [[nodiscard]] bool OwnsCaller(const void* caller) const noexcept {
    return program_.Contains(caller) || library_.Contains(caller);
  }

  // Add() records `block`. False if that would go over the limit, or if the table cannot grow.
  [[nodiscard]] bool Add(void* block) noexcept;
  // Remove() forgets `block`. False if it was not recorded.
  bool Remove(void* block) noexcept;
  [[nodiscard]] bool Contains(const void* block) const noexcept;
  // FreeAll() frees every recorded block.
  void FreeAll() noexcept;

  // Forget() forgets them without freeing any.
  void Forget() noexcept;

  [[nodiscard]] size_t blocks() const noexcept { return count_; }
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] size_t peak_bytes() const noexcept { return peak_bytes_; }

  // Makes room in the accounting for a block that grows by `more` bytes. False: over the limit.
  [[nodiscard]] bool Allows(size_t more) const noexcept {
    return limit_ == 0 || more <= limit_ - (bytes_ < limit_ ? bytes_ : limit_);
  }

 private:
  [[nodiscard]] size_t SlotOf(uintptr_t block) const noexcept;
  bool Grow() noexcept;

  // Open addressing, linear probing; 0 is an empty slot.
  uintptr_t* slots_ = nullptr;
  size_t capacity_ = 0;  // a power of two
  int shift_ = 64;
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t peak_bytes_ = 0;
  size_t limit_ = 0;
  AddressRange program_;
  AddressRange library_;
};

// What the allocation functions ask on every call: the heap of the program that runs on this
// thread, or null. `tracking` is off while code of the server runs inside the program's coroutine
// (ServerScope).
struct HeapContext {
  ProgramHeap* heap = nullptr;
  bool tracking = false;
};
extern constinit thread_local HeapContext t_heap __attribute__((tls_model("initial-exec")));

// AdoptBlock() makes a block that libc allocated on behalf of the caller at `caller` the program's,
// if it is one's.
void AdoptBlock(void* block, const void* caller) noexcept;

// HeapTracking() is false under the sanitizers.
[[nodiscard]] COGI_API bool HeapTracking() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_HEAP_H_
