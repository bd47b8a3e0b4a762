#include "hooks/program_memory.h"

#include <cstring>

namespace cogi::hooks {

void SwappedMemory::Take(std::vector<MemorySpan> spans) {
  spans_ = std::move(spans);
  size_ = 0;
  for (const MemorySpan& span : spans_) size_ += span.size;
  pristine_ = std::make_unique_for_overwrite<char[]>(size_);
  CopyOut(pristine_.get());
  owner_ = nullptr;
}

void SwappedMemory::Prepare(Holder& holder) const {
  if (holder.capacity < size_) {
    // Not initialised: pages that are never saved into cost nothing.
    holder.saved = std::make_unique_for_overwrite<char[]>(size_);
    holder.capacity = size_;
  }
  holder.fresh = true;
}

void SwappedMemory::Exchange(Holder& holder) noexcept {
  if (owner_ != nullptr) CopyOut(owner_->saved.get());
  CopyIn(holder.fresh ? pristine_.get() : holder.saved.get());
  holder.fresh = false;
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
