#include "cgi/body_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace cogi::cgi {

bool BodySpool::OpenFile() {
  file_ = ::open(folder_, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file_ >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return file_ >= 0;
  // A file system without O_TMPFILE.
  std::string name = std::string(folder_) + "/cogi-body-XXXXXX";
  file_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) return false;
  ::unlink(name.c_str());
  return true;
}

void BodySpool::Start(size_t memory, const char* folder) {
  Clear();
  most_memory_ = memory;
  folder_ = folder;
}

bool BodySpool::Append(std::string_view bytes) {
  if (empty()) {  // what was read makes room
    memory_.clear();
    memory_at_ = file_at_ = file_end_ = 0;
  }
  if (file_end_ == 0 && memory_.size() + bytes.size() <= most_memory_) {
    memory_.append(bytes);
    return true;
  }
  if (file_ < 0 && !OpenFile()) return false;
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(file_end_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    file_end_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

ssize_t BodySpool::Read(void* buffer, size_t size) {
  if (memory_at_ < memory_.size()) {
    size = std::min(size, memory_.size() - memory_at_);
    std::memcpy(buffer, memory_.data() + memory_at_, size);
    memory_at_ += size;
    return static_cast<ssize_t>(size);
  }
  size = static_cast<size_t>(std::min<uint64_t>(size, file_end_ - file_at_));
  if (size == 0) return 0;
  ssize_t got;
  do {
    got = ::pread(file_, buffer, size, static_cast<off_t>(file_at_));
  } while (got < 0 && errno == EINTR);
  if (got == 0) {
    errno = EIO;
    return -1;
  }
  if (got > 0) file_at_ += static_cast<uint64_t>(got);
  return got;
}

void BodySpool::Clear() {
  if (memory_.capacity() > 4096) {
    std::string().swap(memory_);
  } else {
    memory_.clear();
  }
  memory_at_ = 0;
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  file_at_ = file_end_ = 0;
}

}  // namespace cogi::cgi
