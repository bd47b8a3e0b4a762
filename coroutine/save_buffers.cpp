#include "coroutine/save_buffers.h"

#include <sys/mman.h>

#include <bit>
#include <new>

namespace cogi::coroutine {

uint32_t SaveBuffers::RoundUp(uint32_t size) noexcept {
  uint32_t step = kStep;
  if (size > kLargest)
    step = 4096;
  else if (size > kFine)
    step = std::bit_ceil(size) / 8;
  return (size + step - 1) & ~(step - 1);
}

size_t SaveBuffers::ClassOf(uint32_t capacity) noexcept {
  if (capacity <= kFine) return capacity / kStep - 1;
  const auto doubling = static_cast<uint32_t>(std::bit_width(capacity - 1) - 11);  // from 1 KiB
  const uint32_t quarter = (capacity - (kFine << doubling)) / (256u << doubling) - 1;
  return kFine / kStep + doubling * 4 + quarter;
}

char* SaveBuffers::Allocate(uint32_t capacity) noexcept {
  if (capacity > kLargest) {
    void* memory =
        mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
  }
  auto& pool = pools_[ClassOf(capacity)];
  if (pool == nullptr) {
    const size_t slab = std::bit_ceil(capacity * size_t{16});
    pool.reset(new (std::nothrow) SlabPool(capacity, slab < 256u << 10 ? 256u << 10 : slab));
    if (pool == nullptr) return nullptr;
  }
  return static_cast<char*>(pool->Take());
}

bool SaveBuffers::Change(Buffer& buffer, uint32_t size) noexcept {
  const uint32_t capacity = RoundUp(size);
  if (capacity == buffer.capacity) return true;
  char* data = Allocate(capacity);
  if (data == nullptr) return size <= buffer.capacity;
  Free(buffer);
  buffer = {data, capacity, 0};
  bytes_ += capacity;
  return true;
}

void SaveBuffers::Free(Buffer& buffer) noexcept {
  if (buffer.data == nullptr) return;
  bytes_ -= buffer.capacity;
  if (buffer.capacity > kLargest)
    munmap(buffer.data, buffer.capacity);
  else
    pools_[ClassOf(buffer.capacity)]->Give(buffer.data);
  buffer = {};
}

}  // namespace cogi::coroutine
