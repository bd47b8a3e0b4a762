#include "coroutine/save_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

namespace cogi::coroutine {
namespace {

constexpr size_t kPage = 4096;
// So many buffers are changed before it is tried again to fill the reserve.
constexpr uint32_t kRefillInterval = 256;

char* Map(size_t size) noexcept {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

}  // namespace

SaveBuffers::SaveBuffers() noexcept { Refill(); }

SaveBuffers::~SaveBuffers() {
  if (reserve_left_ > 0) munmap(reserve_, reserve_left_);
}

void SaveBuffers::Refill() noexcept {
  since_refill_ = 0;
  char* const whole = Map(kReserve);
  if (whole == nullptr) return;
  if (reserve_left_ > 0) munmap(reserve_, reserve_left_);
  reserve_ = whole;
  reserve_left_ = kReserve;
}

// From its end. Null: it has no such piece any more.
char* SaveBuffers::CutReserve(size_t size, size_t alignment) noexcept {
  if (size > reserve_left_) return nullptr;
  char* const end = reserve_ + reserve_left_;
  char* const piece = end - size - reinterpret_cast<uintptr_t>(end - size) % alignment;
  if (piece < reserve_) return nullptr;
  if (piece + size < end) munmap(piece + size, static_cast<size_t>(end - piece) - size);
  reserve_left_ = static_cast<size_t>(piece - reserve_);
  return piece;
}

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

SlabPool& SaveBuffers::PoolOf(uint32_t capacity) noexcept {
  auto& pool = pools_[ClassOf(capacity)];
  if (!pool) {
    const size_t slab = std::bit_ceil(capacity * size_t{16});
    pool.emplace(capacity, std::max<size_t>(slab, 256 << 10));
  }
  return *pool;
}

char* SaveBuffers::Allocate(uint32_t capacity) noexcept {
  if (reserve_left_ < kReserve && ++since_refill_ == kRefillInterval) Refill();
  char* const data =
      capacity > kLargest ? Map(capacity) : static_cast<char*>(PoolOf(capacity).Take());
  return data != nullptr ? data : AllocateFromReserve(capacity);
}

char* SaveBuffers::AllocateFromReserve(uint32_t capacity) noexcept {
  if (capacity > kLargest) return CutReserve(capacity, kPage);  // whole pages
  SlabPool& pool = PoolOf(capacity);
  char* const slab = CutReserve(pool.slab_size(), pool.slab_size());
  if (slab == nullptr) return nullptr;
  pool.Adopt(slab);
  return static_cast<char*>(pool.Take());
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
