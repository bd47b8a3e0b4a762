#include "hooks/file_lock.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "hooks/calls.h"
#include "hooks/descriptors.h"
#include "hooks/lock_parking.h"
#include "hooks/program_state.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// Where all who wait for a file lock park; which file it is does not matter, they try again.
constinit char g_file_locks = 0;

bool HeldByAnother(int error) { return error == EWOULDBLOCK || error == EAGAIN || error == EACCES; }

// Tries until it succeeds or fails for another reason than that the lock is held.
template <class Attempt>
int TryUntilHeld(Attempt attempt) {
  const int saved_errno = errno;
  Backoff backoff{std::chrono::milliseconds(32)};
  for (;;) {
    const int result = attempt();
    if (result == 0) {
      errno = saved_errno;
      return 0;
    }
    if (errno == EINTR) continue;
    if (!HeldByAnother(errno)) return result;
    if (ParkAtUnlessCancelled(&g_file_locks, backoff.Next()) == coroutine::WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
  }
}

int FlockInCoroutine(int fd, int operation) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) {
    errno = EBADF;
    return -1;
  }
  CallRecord record(Call::flock, fd);
  if ((operation & LOCK_UN) != 0 || (operation & LOCK_NB) != 0) {
    const int result = real::flock(what.fd, operation);
    if ((operation & LOCK_UN) != 0) FileLocksChanged();
    return record.Done(result);
  }
  const int result = TryUntilHeld([&] { return real::flock(what.fd, operation | LOCK_NB); });
  if (result == 0) FileLocksChanged();  // from exclusive to shared, perhaps
  return record.Done(result);
}

// lockf() is a front end of F_SETLK; libc's own calls fcntl() past the hooks.
int LockfInCoroutine(int fd, int command, off_t length) {
  CallRecord record(Call::lockf, fd);
  struct flock lock {};
  lock.l_whence = SEEK_CUR;
  lock.l_len = length;
  switch (command) {
    case F_LOCK:
      lock.l_type = F_WRLCK;
      return record.Done(fcntl(fd, F_SETLKW, &lock));
    case F_TLOCK:
      lock.l_type = F_WRLCK;
      return record.Done(fcntl(fd, F_SETLK, &lock));
    case F_ULOCK:
      lock.l_type = F_UNLCK;
      return record.Done(fcntl(fd, F_SETLK, &lock));
    case F_TEST:
      lock.l_type = F_RDLCK;
      if (fcntl(fd, F_GETLK, &lock) != 0) return record.Done(-1);
      if (lock.l_type == F_UNLCK || lock.l_pid == getpid()) return record.Done(0);
      errno = EACCES;
      return record.Done(-1);
    default:
      errno = EINVAL;
      return record.Done(-1);
  }
}

}  // namespace

int SetLockWait(int fd, int command, struct flock* lock) {
  const int once = command == F_SETLKW ? F_SETLK : F_OFD_SETLK;
  const int result = TryUntilHeld([&] { return real::fcntl(fd, once, lock); });
  if (result == 0) FileLocksChanged();
  return result;
}

bool KeepsRecordLocksItself(const void* code) noexcept {
  dl_find_object object{};
  if (::_dl_find_object(const_cast<void*>(code), &object) != 0) return false;
  std::string_view name = object.dlfo_link_map->l_name;
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  return name.starts_with("libsqlite3.so") || name.starts_with("libsqlcipher.so");
}

void FileLocksChanged() noexcept {
  if (t_lot != nullptr && AnyoneParkedHere()) WakeHere(&g_file_locks, kEveryone);
}

}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiFlock(int fd, int operation) __asm__("flock");
COGI_API int CogiLockf(int fd, int command, off_t length) __asm__("lockf");
COGI_API int CogiLockf64(int fd, int command, off_t length) __asm__("lockf64");

int CogiFlock(int fd, int operation) {
  using namespace cogi::hooks;
  return LockHooked() ? FlockInCoroutine(fd, operation) : real::flock(fd, operation);
}

int CogiLockf(int fd, int command, off_t length) {
  using namespace cogi::hooks;
  return LockHooked() ? LockfInCoroutine(fd, command, length) : real::lockf(fd, command, length);
}
int CogiLockf64(int fd, int command, off_t length) { return CogiLockf(fd, command, length); }
}
