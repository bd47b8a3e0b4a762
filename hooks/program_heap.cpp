#include "hooks/program_heap.h"

#include <malloc.h>

#include <bit>

#include "coroutine/sanitizers.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void __libc_free(void* block);
}

namespace cogi::hooks {
namespace {

constexpr size_t kFirstCapacity = 64;
constexpr size_t kKeptCapacity = 4096;  // a larger table is given back at the program's end
constexpr uint64_t kFibonacci = 0x9E3779B97F4A7C15u;

}  // namespace

ProgramHeap::~ProgramHeap() {
  FreeAll();
  if (slots_ != nullptr) __libc_free(slots_);
}

void ProgramHeap::Begin(AddressRange program, AddressRange library, size_t limit) noexcept {
  program_ = program;
  library_ = library;
  limit_ = limit;
  peak_bytes_ = bytes_;
}

size_t ProgramHeap::SlotOf(uintptr_t block) const noexcept {
  return static_cast<size_t>((static_cast<uint64_t>(block >> 4) * kFibonacci) >> shift_);
}

bool ProgramHeap::Grow() noexcept {
  const size_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
  auto* slots = static_cast<uintptr_t*>(__libc_calloc(capacity, sizeof(uintptr_t)));
  if (slots == nullptr) return false;
  uintptr_t* old = slots_;
  const size_t old_capacity = capacity_;
  slots_ = slots;
  capacity_ = capacity;
  shift_ = 64 - std::countr_zero(capacity);
  for (size_t i = 0; i < old_capacity; ++i) {
    if (old[i] == 0) continue;
    size_t slot = SlotOf(old[i]);
    while (slots_[slot] != 0) slot = (slot + 1) & (capacity_ - 1);
    slots_[slot] = old[i];
  }
  if (old != nullptr) __libc_free(old);
  return true;
}

bool ProgramHeap::Add(void* block) noexcept {
  const size_t size = malloc_usable_size(block);
  if (!Allows(size)) return false;
  if (count_ * 4 >= capacity_ * 3 && !Grow()) return false;
  const auto key = reinterpret_cast<uintptr_t>(block);
  size_t slot = SlotOf(key);
  while (slots_[slot] != 0) {
    // Freed by code that does not go through free() here, and handed out again.
    if (slots_[slot] == key) return true;
    slot = (slot + 1) & (capacity_ - 1);
  }
  slots_[slot] = key;
  ++count_;
  bytes_ += size;
  if (bytes_ > peak_bytes_) peak_bytes_ = bytes_;
  return true;
}

bool ProgramHeap::Contains(const void* block) const noexcept {
  if (count_ == 0) return false;
  const auto key = reinterpret_cast<uintptr_t>(block);
  for (size_t slot = SlotOf(key); slots_[slot] != 0; slot = (slot + 1) & (capacity_ - 1))
    if (slots_[slot] == key) return true;
  return false;
}

bool ProgramHeap::Remove(void* block) noexcept {
  if (count_ == 0) return false;
  const auto key = reinterpret_cast<uintptr_t>(block);
  const size_t mask = capacity_ - 1;
  size_t slot = SlotOf(key);
  while (slots_[slot] != key) {
    if (slots_[slot] == 0) return false;
    slot = (slot + 1) & mask;
  }
  // Entries behind the hole that probed past it move up, so that no tombstones pile up.
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; slots_[next] != 0; next = (next + 1) & mask) {
    const size_t home = SlotOf(slots_[next]);
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      slots_[hole] = slots_[next];
      hole = next;
    }
  }
  slots_[hole] = 0;
  --count_;
  const size_t size = malloc_usable_size(block);
  bytes_ -= size < bytes_ ? size : bytes_;
  return true;
}

void ProgramHeap::FreeAll() noexcept {
  for (size_t i = 0; count_ > 0 && i < capacity_; ++i) {
    if (slots_[i] == 0) continue;
    __libc_free(reinterpret_cast<void*>(slots_[i]));
    slots_[i] = 0;
    --count_;
  }
  bytes_ = 0;
  if (capacity_ > kKeptCapacity) {
    __libc_free(slots_);
    slots_ = nullptr;
    capacity_ = 0;
    shift_ = 64;
  }
}

void ProgramHeap::Forget() noexcept {
  slots_ = nullptr;
  capacity_ = count_ = bytes_ = 0;
  shift_ = 64;
}

constinit thread_local HeapContext t_heap __attribute__((tls_model("initial-exec")));

void AdoptBlock(void* block, const void* caller) noexcept {
  HeapContext& context = t_heap;
  if (block == nullptr || context.heap == nullptr || !context.tracking || !HeapTracking()) return;
  // A block that cannot be recorded stays valid: it is merely not freed for the program.
  if (context.heap->OwnsCaller(caller)) static_cast<void>(context.heap->Add(block));
}

bool HeapTracking() noexcept { return COGI_SANITIZED == 0; }

}  // namespace cogi::hooks
