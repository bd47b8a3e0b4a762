#include "hooks/blocking.h"

namespace cogi::hooks {

bool BlockThread(int fd, uint32_t event, int64_t timeout_us) {
  pollfd one{fd, static_cast<short>(event), 0};
  const timespec wait{timeout_us / 1'000'000, timeout_us % 1'000'000 * 1000};
  const int ready = real::ppoll(&one, 1, timeout_us == 0 ? nullptr : &wait, nullptr);
  if (ready == 0) errno = EAGAIN;
  return ready > 0;
}

bool WouldBlock(int fd) noexcept {
  const int error = errno;
  if (error != EAGAIN && error != EINPROGRESS && error != EALREADY) return false;
  const bool hidden = FdTable::Hides(fd);
  errno = error;
  return hidden;
}

bool CutShort(int fd) noexcept { return FdTable::Hides(fd); }

}  // namespace cogi::hooks
