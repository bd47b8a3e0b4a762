#include "hooks/program_memory.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>

namespace cogi::hooks {
namespace {

constexpr uintptr_t kPage = 4096;

}  // namespace

void SwappedMemory::Holder::DropStashes() noexcept {
  for (const Stash& stash : stashes_) PagedRegion::UnmapStash(stash.begin, stash.size);
  stashes_.clear();
  stashes_of_ = 0;
}

void SwappedMemory::Take(std::vector<MemorySpan> spans) {
  static std::atomic<uint64_t> ids{0};
  regions_.clear();
  regions_id_ = ++ids;
  paged_size_ = 0;
  spans_.clear();
  for (const MemorySpan& span : spans)
    if (!TakePages(span, spans_)) spans_.push_back(span);
  size_ = 0;
  for (const MemorySpan& span : spans_) size_ += span.size;
  pristine_ = std::make_unique_for_overwrite<char[]>(size_);
  CopyOut(pristine_.get());
  owner_ = nullptr;
}

// Makes the whole pages of a large segment a region, and leaves its ends in `rest`.
bool SwappedMemory::TakePages(const MemorySpan& span, std::vector<MemorySpan>& rest) {
  if (!span.segment || span.size < kPaged) return false;
  const auto address = reinterpret_cast<uintptr_t>(span.begin);
  const size_t head = (kPage - address % kPage) % kPage;
  const size_t tail = (address + span.size) % kPage;
  const size_t pages = span.size - head - tail;
  auto region = std::make_unique<PagedRegion>();
  if (!region->Take(span.begin + head, pages)) return false;
  regions_.push_back(std::move(region));
  paged_size_ += pages;
  if (head != 0) rest.push_back({span.begin, head});
  if (tail != 0) rest.push_back({span.begin + head + pages, tail});
  return true;
}

void SwappedMemory::Prepare(Holder& holder) const {
  if (holder.capacity_ < size_) {
    // Not initialised: pages that are never saved into cost nothing.
    holder.saved_ = std::make_unique_for_overwrite<char[]>(size_);
    holder.capacity_ = size_;
  }
  if (!regions_.empty() && holder.stashes_of_ != regions_id_) {
    holder.DropStashes();
    holder.stashes_.reserve(regions_.size());
    for (const auto& region : regions_) {
      char* const stash = region->MapStash();
      if (stash == nullptr) throw std::bad_alloc();
      holder.stashes_.push_back({stash, region->size()});
    }
    holder.stashes_of_ = regions_id_;
  }
  holder.fresh_ = true;
}

void SwappedMemory::Exchange(Holder& holder) noexcept {
  if (owner_ != nullptr) CopyOut(owner_->saved_.get());
  CopyIn(holder.fresh_ ? pristine_.get() : holder.saved_.get());
  for (size_t i = 0; i < regions_.size(); ++i) {
    PagedRegion& region = *regions_[i];
    if (owner_ != nullptr) region.MoveOut(owner_->stashes_[i].begin);
    if (!holder.fresh_)
      region.MoveIn(holder.stashes_[i].begin);
    else if (owner_ == nullptr)
      region.Reset();
  }
  holder.fresh_ = false;
  owner_ = &holder;
}

void SwappedMemory::CopyOut(char* to) const noexcept {
  for (const MemorySpan& span : spans_) {
    std::memcpy(to, span.begin, span.size);
    to += span.size;
  }
}

void SwappedMemory::CopyIn(const char* from) const noexcept {
  for (const MemorySpan& span : spans_) {
    std::memcpy(span.begin, from, span.size);
    from += span.size;
  }
}

}  // namespace cogi::hooks
