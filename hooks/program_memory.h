// SwappedMemory: memory at fixed addresses (a module's static data, the objects behind std::cin and
// std::cout) of which every program has its own contents. The bytes are copied out and in only when
// another program gets the turn, so a program that runs alone, or ends before the next one starts,
// pays for one copy of the pristine contents. Large segments are not copied: their pages change
// hands (program_pages.h).
//
// Belongs to one thread. Nothing here yields or throws after construction.
#ifndef COGI_HOOKS_PROGRAM_MEMORY_H_
#define COGI_HOOKS_PROGRAM_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "coroutine/export.h"
#include "hooks/program_pages.h"

namespace cogi::hooks {

struct MemorySpan {
  char* begin;
  size_t size;
  bool segment = false;  // its whole pages are nobody else's, and may be mapped anew
};

class COGI_API SwappedMemory {
 public:
  // One program's contents while they are not in place.
  class Holder {
   public:
    Holder() = default;
    ~Holder() { DropStashes(); }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

   private:
    friend class SwappedMemory;
    void DropStashes() noexcept;

    std::unique_ptr<char[]> saved_;
    size_t capacity_ = 0;
    bool fresh_ = true;  // has not run yet: gets the pristine contents
    struct Stash {
      char* begin;
      size_t size;
    };
    std::vector<Stash> stashes_;  // one for each region
    uint64_t stashes_of_ = 0;     // the memory that they were made for
  };

  // Segments of at least so many bytes are kept page by page.
  static constexpr size_t kPaged = 256 * 1024;

  SwappedMemory() = default;
  SwappedMemory(const SwappedMemory&) = delete;
  SwappedMemory& operator=(const SwappedMemory&) = delete;

  // Take() covers `spans` and takes what is there now for the pristine contents. Throws
  // std::bad_alloc.
  void Take(std::vector<MemorySpan> spans);
  [[nodiscard]] size_t size() const noexcept { return size_ + paged_size_; }

  // Prepare() makes room for one program's contents, and marks them as fresh. Throws
  // std::bad_alloc.
  void Prepare(Holder& holder) const;
  // Keep() makes what is in place now the contents of `holder`.
  // There must be no region.
  void Keep(Holder& holder) const noexcept {
    CopyOut(holder.saved_.get());
    holder.fresh_ = false;
  }
  // BringIn() puts the contents of `holder` in place, and saves those of who was there.
  void BringIn(Holder& holder) noexcept {
    if (owner_ != &holder) Exchange(holder);
  }
  // Drop() forgets `holder`: its contents are not wanted any more.
  void Drop(Holder& holder) noexcept {
    if (owner_ == &holder) owner_ = nullptr;
  }

 private:
  bool TakePages(const MemorySpan& span, std::vector<MemorySpan>& rest);
  void Exchange(Holder& holder) noexcept;
  void CopyOut(char* to) const noexcept;
  void CopyIn(const char* from) const noexcept;

  std::vector<MemorySpan> spans_;
  std::unique_ptr<char[]> pristine_;
  size_t size_ = 0;  // of `spans_`
  std::vector<std::unique_ptr<PagedRegion>> regions_;
  uint64_t regions_id_ = 0;  // tells the regions of one module from those of any other
  size_t paged_size_ = 0;
  Holder* owner_ = nullptr;
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_MEMORY_H_
