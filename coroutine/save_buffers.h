// SaveBuffers: where the frames of parked coroutines are kept while another uses their shared
// stack. Buffers come by size class from slabs. One thread's; never yields.
#ifndef COGI_COROUTINE_SAVE_BUFFERS_H_
#define COGI_COROUTINE_SAVE_BUFFERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "coroutine/slab_pool.h"

namespace cogi::coroutine {

class SaveBuffers {
 public:
  struct Buffer {
    char* data = nullptr;
    uint32_t capacity = 0;
    uint32_t used = 0;  // the owner's: bytes that count; 0: nothing is saved here
  };

  SaveBuffers() noexcept;
  ~SaveBuffers();
  SaveBuffers(const SaveBuffers&) = delete;
  SaveBuffers& operator=(const SaveBuffers&) = delete;

  // Fit() makes `buffer` hold `size` bytes; its content is lost. A buffer that fits is kept, one
  // that is more than a class too large (and more than 64 bytes) is changed for a smaller one: a
  // pool's take and give cost less than idle memory. Returns false if there is no memory; then the
  // buffer is as it was.
  [[nodiscard]] bool Fit(Buffer& buffer, uint32_t size) noexcept {
    if (size <= buffer.capacity && buffer.capacity - size <= 64 + size / 4) return true;
    return Change(buffer, size);
  }
  void Free(Buffer& buffer) noexcept;

  // Bytes in buffers that are taken.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  // Classes of 16 bytes up to 1 KiB, then four to a doubling up to 64 KiB; beyond that, whole pages
  // from the kernel.
  static constexpr uint32_t kStep = 16, kFine = 1024, kLargest = 64 << 10;
  static constexpr size_t kClasses = kFine / kStep + 4 * 6;
  static uint32_t RoundUp(uint32_t size) noexcept;
  static size_t ClassOf(uint32_t capacity) noexcept;
  bool Change(Buffer& buffer, uint32_t size) noexcept;
  SlabPool& PoolOf(uint32_t capacity) noexcept;
  char* Allocate(uint32_t capacity) noexcept;
  char* AllocateFromReserve(uint32_t capacity) noexcept;
  char* CutReserve(size_t size, size_t alignment) noexcept;
  void Refill() noexcept;

  std::array<std::optional<SlabPool>, kClasses> pools_;
  size_t bytes_ = 0;
  // Whoever parks cannot be refused, so what the kernel does not give for that is cut from here:
  // memory that is mapped already, and untouched, so that it costs nothing until then. It is filled
  // up again later.
  static constexpr size_t kReserve = 8 << 20;
  char* reserve_ = nullptr;
  size_t reserve_left_ = 0;
  uint32_t since_refill_ = 0;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SAVE_BUFFERS_H_
