#include "hooks/file_fifo.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "hooks/blocking.h"
#include "hooks/lock_parking.h"
#include "hooks/program_path.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

constexpr std::chrono::milliseconds kLookAgain{32};

// Where all who open a FIFO park.
constinit char g_openers = 0;

bool IsFifo(int directory, const char* path, int flags) {
  struct stat status;
  const int follow = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
  return real::fstatat(directory, path, &status, follow) == 0 && S_ISFIFO(status.st_mode);
}

// One end of a FIFO that nobody else has heard of yet.
class End {
 public:
  explicit End(int fd = -1) : fd_(fd) {}
  ~End() {
    if (fd_ >= 0) real::close(fd_);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  // False with errno. Blocks nobody, but whoever opens the other end sees this one.
  [[nodiscard]] bool Open(int directory, const char* path, int flags) {
    constexpr int kMakes = O_CREAT | O_EXCL | O_TRUNC;
    fd_ = real::openat(directory, path, (flags & ~kMakes) | O_NONBLOCK, 0);
    return fd_ >= 0;
  }
  [[nodiscard]] int fd() const { return fd_; }
  // As open(2) would have made it.
  int Release(int flags) {
    real::fcntl(fd_, F_SETFL, reinterpret_cast<void*>(static_cast<intptr_t>(flags)));
    return std::exchange(fd_, -1);
  }

 private:
  int fd_;
};

// A pipe for tee(2) to copy into.
class Scratch {
 public:
  Scratch() { static_cast<void>(real::pipe2(ends_, O_CLOEXEC | O_NONBLOCK)); }
  ~Scratch() {
    if (ends_[0] < 0) return;
    real::close(ends_[0]);
    real::close(ends_[1]);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // SeesWriter() is true if somebody has the writing end of `fifo`, or has had it since its reading
  // end was opened. Nothing is taken out of it: tee(2) copies nothing from a FIFO that nobody
  // writes to, and would have to wait where somebody only has not yet. Without the pipe a writer is
  // seen who has written or left.
  [[nodiscard]] bool SeesWriter(int fifo) const {
    return ReadyNow(fifo, POLLIN) ||
           (ends_[1] >= 0 && real::tee(fifo, ends_[1], 1, SPLICE_F_NONBLOCK) != 0);
  }

 private:
  int ends_[2] = {-1, -1};
};

// False with errno ECANCELED. Yields.
bool LookLater(Backoff& backoff) {
  if (ParkAtUnlessCancelled(&g_openers, backoff.Next()) != coroutine::WakeReason::kCancelled)
    return true;
  errno = ECANCELED;
  return false;
}

// Whoever opens for writing has found a reader already.
int AwaitOther(End& end, int flags) {
  if (AnyoneParkedHere()) WakeHere(&g_openers, kEveryone);  // this may be the end they wait for
  if ((flags & O_ACCMODE) == O_RDONLY) {
    const Scratch scratch;
    for (Backoff backoff{kLookAgain}; !scratch.SeesWriter(end.fd());)
      if (!LookLater(backoff)) return -1;
  }
  return end.Release(flags);
}

}  // namespace

bool OpeningMayWait(int flags) noexcept {
  constexpr int kNew = O_CREAT | O_EXCL;
  return (flags & O_ACCMODE) != O_RDWR && (flags & kNew) != kNew &&
         (flags & (O_NONBLOCK | O_PATH | O_DIRECTORY)) == 0;
}

int OpenFifo(int directory, const char* path, int flags, const PathScope& scope) {
  if (!Hooked() || path == nullptr || !OpeningMayWait(flags)) return kNoFifo;
  const int error = errno;
  if (!IsFifo(directory, path, flags)) {
    errno = error;
    return kNoFifo;
  }
  End end;
  for (Backoff backoff{kLookAgain}; !end.Open(directory, path, flags);) {
    if (errno != ENXIO || !LookLater(backoff) || !scope.ok()) return -1;
    if (!IsFifo(directory, path, flags)) break;  // any more: the next opening tells
  }
  if (end.fd() < 0) return kNoFifo;
  const int fd = AwaitOther(end, flags);
  if (fd >= 0) errno = error;
  return fd;
}

int AwaitFifo(int fd, int flags) {
  const int error = errno;
  End end(fd);
  const int result = AwaitOther(end, flags);
  if (result >= 0) errno = error;
  return result;
}

}  // namespace cogi::hooks
