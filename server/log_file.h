// LogFile: where log lines go: a file, stdout or stderr. Appends whole lines, never blocks on a
// reader that is slow (a pipe that is full loses lines, which are counted), and survives a full
// disk: what could not be written is counted, and said on stderr once a minute. One thread. Never
// yields, except in Open() and Reopen().
#ifndef COGI_SERVER_LOG_FILE_H_
#define COGI_SERVER_LOG_FILE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "coroutine/deadline.h"
#include "server/real_calls.h"

namespace cogi::server {

class LogFile {
 public:
  LogFile() = default;
  ~LogFile() { Flush(); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Open() starts to write to `target`: a path (O_APPEND, created 0640; a symbolic link as its last
  // part is refused), "stdout", "stderr" or "off". Returns "" or why not; then the old target, if
  // any, stays, as it does for lines that come while this one is opened. May yield.
  [[nodiscard]] std::string Open(const std::string& target);
  // Reopen() opens the same path again, for log rotation. As Open().
  [[nodiscard]] std::string Reopen();

  // Append() adds `line` (without its newline). It is kept back until the buffer has 32 KiB or
  // Flush(); OnPending() is told when the first line is kept back.
  void Append(std::string_view line);
  void Flush();
  void OnPending(std::function<void()> callback) { on_pending_ = std::move(callback); }

  [[nodiscard]] bool off() const { return fd_ < 0; }
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  int WritePiece(std::string_view piece);
  void Complain(int error) noexcept;

  std::string target_;
  UniqueFd owned_;
  int fd_ = -1;
  bool may_block_ = false;  // a pipe or terminal: ask before writing
  std::string buffer_;
  std::function<void()> on_pending_;
  uint64_t dropped_ = 0;
  uint64_t dropped_before_ = 0;
  coroutine::Deadline next_complaint_{};
};

}  // namespace cogi::server

#endif  // COGI_SERVER_LOG_FILE_H_
