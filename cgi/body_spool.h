// BodySpool: the part of a request's body that had to be read before anybody asked for it. Many web
// servers stop sending the body when they see the head of the answer (nginx does), so it must all
// have arrived before a handler that is still running sends one.
#ifndef COGI_CGI_BODY_SPOOL_H_
#define COGI_CGI_BODY_SPOOL_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

// A queue of bytes: some in memory, what is more in a file that has no name and takes no room on
// the disk once the spool is cleared.
class COGI_API BodySpool {
 public:
  BodySpool() = default;
  ~BodySpool() { Clear(); }
  BodySpool(const BodySpool&) = delete;
  BodySpool& operator=(const BodySpool&) = delete;

  // Start() empties it. It will keep `memory` bytes in memory, and its file in `folder`, which must
  // outlive it.
  void Start(size_t memory, const char* folder);

  // Append() adds bytes at the end. Returns false with errno of open(2) or pwrite(2) (ENOSPC,
  // EMFILE, ...); the bytes are lost then. Throws std::bad_alloc.
  [[nodiscard]] bool Append(std::string_view bytes);

  // Read() takes up to `size` bytes from the front. Returns how many, 0 if it is empty, -1 with
  // errno of read(2).
  [[nodiscard]] ssize_t Read(void* buffer, size_t size);

  [[nodiscard]] bool empty() const { return left() == 0; }
  [[nodiscard]] uint64_t left() const { return memory_.size() - memory_at_ + file_end_ - file_at_; }

  // Clear() drops what is left, and the file.
  void Clear();

 private:
  bool OpenFile();

  size_t most_memory_ = 0;
  const char* folder_ = "/tmp";
  std::string memory_;  // its bytes come before those of the file
  size_t memory_at_ = 0;
  int file_ = -1;
  uint64_t file_at_ = 0;
  uint64_t file_end_ = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_BODY_SPOOL_H_
