// InputBuffer: the bytes of a busy connection that have arrived and are not used up.
#ifndef COGI_CGI_INPUT_BUFFER_H_
#define COGI_CGI_INPUT_BUFFER_H_

#include <sys/types.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "cgi/byte_stream.h"

namespace cogi::cgi {

class InputBuffer {
 public:
  static constexpr size_t kSmall = 4096;

  [[nodiscard]] std::string_view bytes() const { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] size_t room() const { return capacity_ - end_; }

  // Consume() drops the first `size` bytes. They stay readable until the next Reserve().
  void Consume(size_t size) { begin_ += size; }

  // Reserve() makes room for `size` more bytes, by moving what is there to the front or into a
  // larger block: views of it die.
  void Reserve(size_t size) {
    if (room() >= size) return;
    size_t held = end_ - begin_;
    if (capacity_ - held < size) {
      size_t capacity = capacity_ == 0 ? kSmall : capacity_;
      while (capacity - held < size) capacity *= 2;
      auto larger = std::make_unique_for_overwrite<char[]>(capacity);
      if (held > 0) std::memcpy(larger.get(), data_.get() + begin_, held);
      data_ = std::move(larger);
      capacity_ = capacity;
    } else if (held > 0) {
      std::memmove(data_.get(), data_.get() + begin_, held);
    }
    begin_ = 0;
    end_ = held;
  }

  // Rewind() uses the whole room again if nothing is held behind `front`, which stays in place:
  // the bytes of a request's head, to which there are views.
  void Rewind(size_t front) {
    if (begin_ == end_) begin_ = end_ = front;
  }

  // Fill() reads what fits. Returns as ByteStream::Read(). Room must be there. May yield.
  [[nodiscard]] ssize_t Fill(ByteStream& stream) {
    ssize_t got = stream.Read(data_.get() + end_, room());
    if (got > 0) end_ += static_cast<size_t>(got);
    return got;
  }

  // Clear() drops everything, and the memory if it is more than a usual request takes.
  void Clear() {
    begin_ = end_ = 0;
    if (capacity_ > 4 * kSmall) {
      data_.reset();
      capacity_ = 0;
    }
  }

  [[nodiscard]] size_t begin() const { return begin_; }
  [[nodiscard]] const char* data() const { return data_.get(); }

 private:
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_INPUT_BUFFER_H_
