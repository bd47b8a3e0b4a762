// ScriptedStream: a ByteStream whose peer is a list of pieces, so that a test decides at which byte
// each read ends. No descriptors, no threads, no time.
#ifndef COGI_TESTS_CGI_SCRIPTED_STREAM_H_
#define COGI_TESTS_CGI_SCRIPTED_STREAM_H_

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cgi/byte_stream.h"

namespace cogi::cgi {

class ScriptedStream : public ByteStream {
 public:
  // After the pieces a read gives 0 (the end), or -1 with `end_error` if that is not 0.
  explicit ScriptedStream(std::vector<std::string> pieces, int end_error = 0)
      : pieces_(pieces.begin(), pieces.end()), end_error_(end_error) {}

  // Split() is `bytes` in two pieces, the first of `at` bytes.
  static std::vector<std::string> Split(std::string_view bytes, size_t at) {
    return {std::string(bytes.substr(0, at)), std::string(bytes.substr(at))};
  }
  // Singles() is `bytes` in pieces of one.
  static std::vector<std::string> Singles(std::string_view bytes) {
    std::vector<std::string> pieces;
    for (char c : bytes) pieces.emplace_back(1, c);
    return pieces;
  }

  ssize_t Read(void* buffer, size_t size) override {
    while (!pieces_.empty() && read_ == pieces_.front().size()) {
      pieces_.pop_front();
      read_ = 0;
    }
    if (pieces_.empty()) {
      errno = end_error_;
      return end_error_ == 0 ? 0 : -1;
    }
    size = std::min(size, pieces_.front().size() - read_);
    std::memcpy(buffer, pieces_.front().data() + read_, size);
    read_ += size;
    return static_cast<ssize_t>(size);
  }
  bool Write(iovec* pieces, int count) override {
    ++writes;
    for (int i = 0; i < count; ++i) {
      written.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    }
    return true;
  }
  bool SendFile(int fd, off_t offset, size_t size) override {
    std::string bytes(size, '\0');
    if (pread(fd, bytes.data(), size, offset) != static_cast<ssize_t>(size)) {
      errno = EIO;
      return false;
    }
    written += bytes;
    return true;
  }
  bool AwaitInput() override {
    ++rests;
    return true;
  }
  void ShutdownWrite() override { shut = true; }
  void SetReadDeadline(Deadline) override {}
  void SetWriteTimeout(std::chrono::milliseconds) override {}

  std::string written;
  int writes = 0;
  int rests = 0;
  bool shut = false;

 private:
  std::deque<std::string> pieces_;
  size_t read_ = 0;  // of the first
  int end_error_;
};

}  // namespace cogi::cgi

#endif  // COGI_TESTS_CGI_SCRIPTED_STREAM_H_
