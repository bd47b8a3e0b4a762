#include "server/log_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kBufferSize = 32 << 10;
constexpr std::chrono::minutes kComplaintInterval{1};

}  // namespace

std::string LogFile::Open(const std::string& target) {
  UniqueFd opened;
  int fd = -1;
  if (target == "stdout") {
    fd = STDOUT_FILENO;
  } else if (target == "stderr") {
    fd = STDERR_FILENO;
  } else if (target != "off") {
    opened.Reset(open(target.c_str(),
                      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640));
    if (!opened) {
      const int error = errno;
      return Concat("the log file ", target, " cannot be opened: ",
                    error == ELOOP ? "it is a symbolic link" : ErrnoText(error));
    }
    fd = opened.get();
  }
  struct stat status {};
  const bool may_block = fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode));
  Flush();
  owned_ = std::move(opened);
  fd_ = fd;
  target_ = target;
  may_block_ = may_block;
  return {};
}

std::string LogFile::Reopen() { return target_.empty() ? std::string() : Open(target_); }

void LogFile::Append(std::string_view line) {
  if (fd_ < 0) return;
  const bool first = buffer_.empty();
  buffer_.append(line);
  buffer_ += '\n';
  if (buffer_.size() >= kBufferSize) {
    Flush();
  } else if (first && on_pending_) {
    on_pending_();
  }
}

void LogFile::Flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    // A pipe that polls writable takes PIPE_BUF bytes at once without blocking; whole lines only.
    size_t size = rest.size();
    if (may_block_ && size > PIPE_BUF) {
      size = rest.rfind('\n', PIPE_BUF - 1);
      size = size == std::string_view::npos ? PIPE_BUF : size + 1;
    }
    const std::string_view piece = rest.substr(0, size);
    if (const int error = WritePiece(piece); error != 0) {
      dropped_ += static_cast<uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
      Complain(error);
    }
    rest.remove_prefix(size);
  }
  buffer_.clear();
}

// Returns 0 or an errno.
int LogFile::WritePiece(std::string_view piece) {
  if (may_block_) {
    pollfd poll_fd{fd_, POLLOUT, 0};
    if (Real().poll(&poll_fd, 1, 0) != 1 || (poll_fd.revents & POLLOUT) == 0) return EAGAIN;
  }
  while (!piece.empty()) {
    const ssize_t written = Real().write(fd_, piece.data(), piece.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) piece.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// Where there is no memory to say it, the count is left for the next time.
void LogFile::Complain(int error) noexcept try {
  const auto now = coroutine::Clock::now();
  if (fd_ == STDERR_FILENO || now < next_complaint_) return;
  const std::string text =
      Concat("cogi: the log ", target_,
             " cannot be written: ", error == EAGAIN ? "its reader is too slow" : ErrnoText(error),
             "; ", dropped_ - dropped_before_, " lines lost since the last message\n");
  next_complaint_ = now + kComplaintInterval;
  dropped_before_ = dropped_;
  pollfd poll_fd{STDERR_FILENO, POLLOUT, 0};
  if (Real().poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT) != 0 &&
      Real().write(STDERR_FILENO, text.data(), text.size()) < 0)
    return;  // nowhere is left to say it; the count stays
} catch (const std::bad_alloc&) {
}

}  // namespace cogi::server
