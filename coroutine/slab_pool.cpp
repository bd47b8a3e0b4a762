#include "coroutine/slab_pool.h"

#include <sys/mman.h>

namespace cogi::coroutine {
namespace {

constexpr size_t kHugePage = 2u << 20;
// A pool of less than this takes small pages, of which it touches only those it uses.
constexpr size_t kSmallPool = 8u << 20;

// MapAligned() maps `size` bytes at a multiple of `size`.
char* MapAligned(size_t size) noexcept {
  void* memory = mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* low = static_cast<char*>(memory);
  auto* aligned =
      reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(low) + size - 1) & ~(size - 1));
  if (aligned > low) munmap(low, static_cast<size_t>(aligned - low));
  char* end = low + 2 * size;
  if (end > aligned + size) munmap(aligned + size, static_cast<size_t>(end - aligned) - size);
  return aligned;
}

}  // namespace

SlabPool::SlabPool(size_t object_size, size_t slab_size) noexcept
    : object_size_(object_size),
      slab_size_(slab_size),
      capacity_(static_cast<uint32_t>((slab_size - kHeader) / object_size)) {}

SlabPool::~SlabPool() {
  while (all_ != nullptr) Unmap(*all_);
  if (region_ != region_end_) munmap(region_, static_cast<size_t>(region_end_ - region_));
}

void* SlabPool::TakeFrom(Slab& slab) noexcept {
  void* object = slab.free;
  if (object != nullptr) {
    slab.free = *static_cast<void**>(object);
  } else {
    object = reinterpret_cast<char*>(&slab) + kHeader + slab.carved * object_size_;
    ++slab.carved;
  }
  if (slab.used == 0) --empty_;
  if (++slab.used == capacity_) UnlinkPartial(slab);
  ++taken_;
  return object;
}

char* SlabPool::MapSlab() noexcept {
  if (region_ == region_end_) {
    if (mapped_bytes() < kSmallPool || slab_size_ >= kHugePage) return MapAligned(slab_size_);
    char* region = MapAligned(kHugePage);
    if (region == nullptr) return MapAligned(slab_size_);
    madvise(region, kHugePage, MADV_HUGEPAGE);  // refused: small pages do as well
    region_ = region;
    region_end_ = region + kHugePage;
  }
  char* slab = region_;
  region_ += slab_size_;
  return slab;
}

void* SlabPool::TakeFromNewSlab() noexcept {
  char* memory = MapSlab();
  if (memory == nullptr) return nullptr;
  Adopt(memory);
  return TakeFrom(*partial_);
}

void SlabPool::Adopt(void* memory) noexcept {
  auto* slab = static_cast<Slab*>(memory);
  *slab = Slab{};
  slab->all_next = all_;
  if (all_ != nullptr) all_->all_prev = slab;
  all_ = slab;
  LinkPartial(*slab);
  ++slabs_;
  ++empty_;
}

void SlabPool::Give(void* object) noexcept {
  auto* slab = reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(object) & ~(slab_size_ - 1));
  *static_cast<void**>(object) = slab->free;
  slab->free = object;
  --taken_;
  if (slab->used-- == capacity_) LinkPartial(*slab);
  if (slab->used > 0) return;
  if (empty_ > 0) {
    UnlinkPartial(*slab);
    Unmap(*slab);
  } else {
    ++empty_;
  }
}

void SlabPool::LinkPartial(Slab& slab) noexcept {
  slab.prev = nullptr;
  slab.next = partial_;
  if (partial_ != nullptr) partial_->prev = &slab;
  partial_ = &slab;
}

void SlabPool::UnlinkPartial(Slab& slab) noexcept {
  (slab.prev != nullptr ? slab.prev->next : partial_) = slab.next;
  if (slab.next != nullptr) slab.next->prev = slab.prev;
}

void SlabPool::Unmap(Slab& slab) noexcept {
  (slab.all_prev != nullptr ? slab.all_prev->all_next : all_) = slab.all_next;
  if (slab.all_next != nullptr) slab.all_next->all_prev = slab.all_prev;
  --slabs_;
  munmap(&slab, slab_size_);
}

}  // namespace cogi::coroutine
