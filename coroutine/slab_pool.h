// SlabPool: objects of one size from large aligned slabs, so that ten million small ones neither
// fragment nor pay a header each, and empty slabs go back to the kernel. A pool that has grown asks
// for huge pages: their first touch costs a tenth for each byte, and reaching a coroutine among
// millions no walk of page tables. One thread's; never yields.
#ifndef COGI_COROUTINE_SLAB_POOL_H_
#define COGI_COROUTINE_SLAB_POOL_H_

#include <cstddef>
#include <cstdint>

namespace cogi::coroutine {

class SlabPool {
 public:
  // Objects of `object_size` bytes (a multiple of 8), aligned to 64 if the size is a multiple
  // of 64. `slab_size` is a power of two of at least a page that holds at least one.
  SlabPool(size_t object_size, size_t slab_size) noexcept;
  ~SlabPool();
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  // Take() returns uninitialised memory, or null if none can be had. The last one given comes
  // first.
  [[nodiscard]] void* Take() noexcept {
    Slab* slab = partial_;
    if (slab == nullptr) return TakeFromNewSlab();
    return TakeFrom(*slab);
  }
  void Give(void* object) noexcept;
  // Adopt() adds a slab in memory that the caller has mapped: slab_size() bytes, aligned to as
  // many. It belongs to the pool from now on.
  void Adopt(void* memory) noexcept;

  [[nodiscard]] size_t slab_size() const { return slab_size_; }
  [[nodiscard]] size_t taken() const { return taken_; }
  [[nodiscard]] size_t mapped_bytes() const { return slabs_ * slab_size_; }

  // ForEach() visits every object's memory that was ever taken, also those given back: callers tell
  // them apart by content, of which Give() overwrites only the first 8 bytes.
  template <class Visit>
  void ForEach(Visit visit) {
    for (Slab* slab = all_; slab != nullptr; slab = slab->all_next) {
      for (uint32_t i = 0; i < slab->carved; ++i)
        visit(reinterpret_cast<char*>(slab) + kHeader + i * object_size_);
    }
  }
  // Find() is the first of them for which `is_it` returns true, or null. It looks only where some
  // are taken.
  template <class IsIt>
  [[nodiscard]] void* Find(IsIt is_it) {
    for (Slab* slab = all_; slab != nullptr; slab = slab->all_next) {
      for (uint32_t i = 0; slab->used != 0 && i < slab->carved; ++i) {
        char* object = reinterpret_cast<char*>(slab) + kHeader + i * object_size_;
        if (is_it(object)) return object;
      }
    }
    return nullptr;
  }

 private:
  friend struct SlabLayout;  // debug_layout.cpp
  static constexpr size_t kHeader = 64;
  struct Slab {
    void* free;
    uint32_t used;
    uint32_t carved;    // objects handed out at least once; the rest of the slab is untouched
    Slab *next, *prev;  // in the list of slabs with room
    Slab *all_next, *all_prev;
  };
  static_assert(sizeof(Slab) <= kHeader);

  void* TakeFrom(Slab& slab) noexcept;
  void* TakeFromNewSlab() noexcept;
  void LinkPartial(Slab& slab) noexcept;
  void UnlinkPartial(Slab& slab) noexcept;
  char* MapSlab() noexcept;
  void Unmap(Slab& slab) noexcept;

  size_t object_size_;
  size_t slab_size_;
  uint32_t capacity_;  // objects in a slab
  Slab* partial_ = nullptr;
  Slab* all_ = nullptr;
  size_t slabs_ = 0;
  size_t empty_ = 0;  // slabs without a taken object; one is kept
  size_t taken_ = 0;
  char* region_ = nullptr;  // what is left of a huge page that is given out slab by slab
  char* region_end_ = nullptr;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SLAB_POOL_H_
