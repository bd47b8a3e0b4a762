// SwappedMemory: memory at fixed addresses (a module's static data, the objects behind std::cin and
// std::cout) of which every program has its own contents. The bytes are copied out and in only when
// another program gets the turn, so a program that runs alone, or ends before the next one starts,
// pays for one copy of the pristine contents.
//
// Belongs to one thread. Nothing here yields or throws after construction.
#ifndef COGI_HOOKS_PROGRAM_MEMORY_H_
#define COGI_HOOKS_PROGRAM_MEMORY_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "coroutine/export.h"

namespace cogi::hooks {

struct MemorySpan {
  char* begin;
  size_t size;
};

class COGI_API SwappedMemory {
 public:
  // One program's contents while they are not in place.
  struct Holder {
    std::unique_ptr<char[]> saved;
    size_t capacity = 0;
    bool fresh = true;  // has not run yet: gets the pristine contents
  };

  SwappedMemory() = default;
  SwappedMemory(const SwappedMemory&) = delete;
  SwappedMemory& operator=(const SwappedMemory&) = delete;

  // Take() covers `spans` and takes what is there now for the pristine contents.
  void Take(std::vector<MemorySpan> spans);
  [[nodiscard]] size_t size() const noexcept { return size_; }

  // Prepare() makes room for one program's contents, and marks them as fresh. Throws
  // std::bad_alloc.
  void Prepare(Holder& holder) const;
  // Keep() makes what is in place now the contents of `holder`.
  void Keep(Holder& holder) const noexcept {
    CopyOut(holder.saved.get());
    holder.fresh = false;
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
  void Exchange(Holder& holder) noexcept;
  void CopyOut(char* to) const noexcept;
  void CopyIn(const char* from) const noexcept;

  std::vector<MemorySpan> spans_;
  std::unique_ptr<char[]> pristine_;
  size_t size_ = 0;
  Holder* owner_ = nullptr;
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_MEMORY_H_
