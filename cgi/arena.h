// Arena: memory of one request, given back all at once. Pieces never move, so views of them live as
// long as the request. A warm arena allocates nothing.
#ifndef COGI_CGI_ARENA_H_
#define COGI_CGI_ARENA_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace cogi::cgi {

class Arena {
 public:
  // Allocate() gives `size` bytes, unaligned: for text.
  [[nodiscard]] char* Allocate(size_t size) {
    if (size > left_) AddBlock(size);
    char* piece = next_;
    next_ += size;
    left_ -= size;
    return piece;
  }

  // Copy() keeps a copy of `text`.
  [[nodiscard]] std::string_view Copy(std::string_view text) {
    char* piece = Allocate(text.size());
    if (!text.empty()) std::memcpy(piece, text.data(), text.size());
    return {piece, text.size()};
  }

  // Clear() takes all pieces back, and keeps the first block for the next request.
  void Clear() {
    if (blocks_.empty()) return;
    blocks_.resize(1);
    next_ = blocks_.front().get();
    left_ = kBlock;
  }

 private:
  static constexpr size_t kBlock = 4096;

  void AddBlock(size_t size) {
    // The first block has the standard size, so that Clear() knows what it keeps.
    if (blocks_.empty()) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlock));
      next_ = blocks_.back().get();
      left_ = kBlock;
      if (size <= left_) return;
    }
    size_t block = size > kBlock ? size : kBlock;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
    next_ = blocks_.back().get();
    left_ = block;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_ARENA_H_
