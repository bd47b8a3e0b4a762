#include "hooks/program_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "coroutine/system_calls.h"

namespace cogi::hooks {
namespace {

using coroutine::sys::Arg;
using coroutine::sys::Call;

constexpr size_t kPage = 4096;
constexpr long kReadWrite = PROT_READ | PROT_WRITE;
// The pages leave, the mapping stays (Linux 5.7; of private mappings of files 5.13).
constexpr long kMoveFlags = MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* MREMAP_DONTUNMAP */;

bool Failed(long result) { return result < 0 && result > -4096; }

char* Map(char* where, size_t size, long protection, long flags, int file) {
  const long mapped = Call(SYS_mmap, Arg(where), static_cast<long>(size), protection, flags, file);
  return Failed(mapped) ? nullptr : reinterpret_cast<char*>(mapped);
}

bool MovePages(char* from, char* to, size_t size) {
  const auto length = static_cast<long>(size);
  return !Failed(Call(SYS_mremap, Arg(from), length, length, kMoveFlags, Arg(to)));
}

// Bits of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr uint64_t kInMemory = uint64_t{1} << 63;
constexpr uint64_t kSwapped = uint64_t{1} << 62;
constexpr uint64_t kOfTheFile = uint64_t{1} << 61;

// Was this page written, and is therefore no longer the file's?
bool IsOwn(uint64_t entry) {
  return (entry & (kInMemory | kSwapped)) != 0 && (entry & kOfTheFile) == 0;
}

}  // namespace

PagedRegion::~PagedRegion() {
  if (pristine_ != nullptr) UnmapStash(pristine_, size_);
  if (file_ >= 0) coroutine::sys::Close(file_);
  if (pagemap_ >= 0) coroutine::sys::Close(pagemap_);
}

bool PagedRegion::Take(char* begin, size_t size) noexcept {
  const long file = Call(SYS_memfd_create, Arg("cogi-static-data"), MFD_CLOEXEC);
  if (file < 0) return false;
  file_ = static_cast<int>(file);
  size_ = size;
  for (size_t done = 0; done < size;) {
    const long wrote = coroutine::sys::Write(file_, begin + done, size - done);
    if (wrote <= 0) return false;
    done += static_cast<size_t>(wrote);
  }
  // Tried with two stashes before anything changes.
  char* const probe = MapStash();
  char* const other = MapStash();
  bool works = false;
  if (probe != nullptr && other != nullptr) {
    probe[0] = static_cast<char>(~begin[0]);
    works = MovePages(probe, other, size) && other[0] != begin[0] && probe[0] == begin[0];
  }
  if (probe != nullptr) UnmapStash(probe, size);
  if (other != nullptr) UnmapStash(other, size);
  pristine_ = works ? Map(nullptr, size, PROT_READ, MAP_PRIVATE, file_) : nullptr;
  if (pristine_ == nullptr) return false;
  if (Map(begin, size, kReadWrite, MAP_PRIVATE | MAP_FIXED, file_) == nullptr) return false;
  const long pagemap = Call(SYS_openat, AT_FDCWD, Arg("/proc/self/pagemap"), O_RDONLY | O_CLOEXEC);
  pagemap_ = pagemap < 0 ? -1 : static_cast<int>(pagemap);
  begin_ = begin;
  return true;
}

char* PagedRegion::MapStash() const noexcept {
  return Map(nullptr, size_, kReadWrite, MAP_PRIVATE | MAP_NORESERVE, file_);
}

void PagedRegion::UnmapStash(char* stash, size_t size) noexcept {
  Call(SYS_munmap, Arg(stash), static_cast<long>(size));
}

// A program that has changed the protection of a part has made two mappings of one, which cannot be
// moved as one: it is copied. The attempt has unmapped the target.
void PagedRegion::Move(char* from, char* to) noexcept {
  if (MovePages(from, to, size_)) return;
  Map(to, size_, kReadWrite, MAP_PRIVATE | MAP_FIXED, file_);
  std::memcpy(to, from, size_);
  if (from == begin_) Map(begin_, size_, kReadWrite, MAP_PRIVATE | MAP_FIXED, file_);
}

// Only pages that were written need anything, and they are written over: dropping them would cost
// the next request a page fault for each.
void PagedRegion::Reset() noexcept {
  constexpr size_t kAtOnce = 512;
  uint64_t entries[kAtOnce];
  Call(SYS_mprotect, Arg(begin_), static_cast<long>(size_), kReadWrite);
  const size_t pages = size_ / kPage;
  for (size_t first = 0; first < pages; first += kAtOnce) {
    const size_t count = std::min(kAtOnce, pages - first);
    char* const at = begin_ + first * kPage;
    const auto offset = reinterpret_cast<uintptr_t>(at) / kPage * sizeof(uint64_t);
    const size_t wanted = count * sizeof(uint64_t);
    const long got = pagemap_ < 0 ? -1
                                  : Call(SYS_pread64, pagemap_, Arg(entries),
                                         static_cast<long>(wanted), static_cast<long>(offset));
    const bool known = got == static_cast<long>(wanted);
    for (size_t i = 0; i < count; ++i)
      if (!known || IsOwn(entries[i]))
        std::memcpy(at + i * kPage, pristine_ + (first + i) * kPage, kPage);
  }
}

}  // namespace cogi::hooks
