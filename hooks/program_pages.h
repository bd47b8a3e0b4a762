// PagedRegion: a large piece of a module's static data, page by page. Its pristine contents lie in
// a file in memory, mapped privately where the segment was: pages that nobody has written are
// shared by all requests, and a request that waits keeps only those that it has written. They are
// moved out and in by the page table, without a copy.
//
// Measured against copying, in a virtual machine: a switch between two requests costs 10 to 20 us
// up to 1 MiB, 35 for 4 MiB with few written pages; copying 4 us for 64 KiB, 17 for 256 KiB, 85 for
// 1 MiB, 530 for 4 MiB, whatever was written. Hence SwappedMemory's threshold of 256 KiB.
//
// Belongs to one thread. Never yields.
#ifndef COGI_HOOKS_PROGRAM_PAGES_H_
#define COGI_HOOKS_PROGRAM_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "coroutine/export.h"

namespace cogi::hooks {

class COGI_API PagedRegion {
 public:
  PagedRegion() = default;
  ~PagedRegion();
  PagedRegion(const PagedRegion&) = delete;
  PagedRegion& operator=(const PagedRegion&) = delete;

  // Take() makes [begin, begin + size), whole pages that are mapped readable and writable, a
  // region whose pristine contents are those of now. False if the kernel cannot do that (before
  // Linux 5.13, or without memory): everything is as it was then.
  [[nodiscard]] bool Take(char* begin, size_t size) noexcept;
  [[nodiscard]] size_t size() const noexcept { return size_; }

  // A stash is where the contents of one request are while they are not in place. MapStash() makes
  // one, null without memory; it takes address space, and memory for what is moved there.
  [[nodiscard]] char* MapStash() const noexcept;
  static void UnmapStash(char* stash, size_t size) noexcept;

  // MoveOut() takes what is in place away into `stash`; the pristine contents are in place then.
  void MoveOut(char* stash) noexcept { Move(begin_, stash); }
  // MoveIn() puts what was moved out into `stash` in place, whatever is there.
  void MoveIn(char* stash) noexcept { Move(stash, begin_); }
  // Reset() puts the pristine contents in place, whatever is there.
  void Reset() noexcept;

 private:
  void Move(char* from, char* to) noexcept;

  char* begin_ = nullptr;
  size_t size_ = 0;
  int file_ = -1;     // the pristine contents
  int pagemap_ = -1;  // tells which pages were written
  char* pristine_ = nullptr;
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_PAGES_H_
