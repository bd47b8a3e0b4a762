// open(), stat() and their family. For a program, relative paths start in its own working
// directory, its own umask counts, and what it opens is its own.
#include "hooks/file_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"
#include "hooks/file_fifo.h"
#include "hooks/file_helper.h"
#include "hooks/program.h"
#include "hooks/program_path.h"

namespace cogi::hooks {
namespace {

// Whether the kernel has to read something to walk `path`. False where it cannot tell, and where it
// says at once that the path leads nowhere: the call itself says so as quickly.
bool IsCold(int directory, const char* path, int flags) {
  if (FilesAreSlow()) [[unlikely]]
    return true;
  const int fd = RawOpen(directory, path, flags, RESOLVE_CACHED);
  if (fd >= 0) real::close(fd);
  return fd < 0 && errno == EAGAIN;
}

void WalkByHelper(int directory, const char* path, int flags) {
  const size_t size = strnlen(path, PATH_MAX) + 1;
  const std::shared_ptr<char[]> text = NewBounce(size);
  if (size > PATH_MAX || text == nullptr) return;
  memcpy(text.get(), path, size);
  // What the process's working directory is just now, a program's perhaps, the helper does not
  // know.
  const bool relative = directory == AT_FDCWD && *path != '/';
  const int from =
      relative ? RawOpen(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0) : directory;
  OnFileHelper(0, [from, text, flags]() -> ssize_t {
    const int fd = RawOpen(from, text.get(), flags, 0);
    if (fd >= 0) real::close(fd);
    return 0;
  });
  if (relative && from >= 0) real::close(from);
}

// Makes `call(directory, scope)` in the place of the program that runs here, if any, when the path
// has been walked.
template <class Call>
auto InPlace(int directory, const char* path, bool follow, Call call) -> int {
  PathScope scope(FromHere(directory, path));
  if (!scope.ok()) return -1;
  const int kernel_directory = KernelDirectory(directory);
  WalkAhead(kernel_directory, path, follow);
  return scope.ok() ? call(kernel_directory, scope) : -1;
}

constexpr int kNotCached = -2;

// FromCaches() opens what the kernel can open without reading anything, kNotCached for the rest. -1
// with errno: a wait for the other end of a FIFO was cancelled.
int FromCaches(int directory, const char* path, int flags) {
  const int error = errno;
  const bool may_wait = OpeningMayWait(flags);
  const int fd = RawOpen(directory, path, flags | (may_wait ? O_NONBLOCK : 0), RESOLVE_CACHED);
  errno = error;
  if (fd < 0) return kNotCached;
  if (!may_wait) return fd;
  struct stat status;
  if (real::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) return AwaitFifo(fd, flags);
  real::fcntl(fd, F_SETFL, reinterpret_cast<void*>(static_cast<intptr_t>(flags)));
  return fd;
}

// A plain opening is tried from the caches alone first, which saves the walk.
template <class Call>
int OpenInPlace(int directory, const char* path, int flags, Call call) {
  constexpr int kMakes = O_CREAT | O_TRUNC | O_TMPFILE;
  if (Hooked() && FilesAreOffloaded() && !FilesAreSlow() && path != nullptr &&
      (flags & kMakes & ~O_DIRECTORY) == 0) {
    PathScope scope(FromHere(directory, path));
    const int fd = scope.ok() ? FromCaches(KernelDirectory(directory), path, flags) : kNotCached;
    if (fd != kNotCached) {
      coroutine::ChargeCall();
      return OpenedByProgram(fd);
    }
  }
  const auto open = [&](int from, const PathScope& scope) {
    const int fifo = OpenFifo(from, path, flags, scope);
    return fifo == kNoFifo ? call(from) : fifo;
  };
  return OpenedByProgram(InPlace(directory, path, (flags & O_NOFOLLOW) == 0, open));
}

bool Untouched() { return !Hooked() && Program::Current() == nullptr; }

}  // namespace

int RawOpen(int directory, const char* path, int flags, uint64_t resolve) noexcept {
  open_how how{};
  how.flags = static_cast<uint32_t>(flags);
  how.resolve = resolve;
  return static_cast<int>(real::syscall(SYS_openat2, directory, reinterpret_cast<long>(path),
                                        reinterpret_cast<long>(&how), sizeof how, 0, 0));
}

void WalkAhead(int directory, const char* path, bool follow) {
  if (path == nullptr || *path == '\0' || !Hooked() || !FilesAreOffloaded()) return;
  const int error = errno;
  const int flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
  if (IsCold(directory, path, flags)) WalkByHelper(directory, path, flags);
  errno = error;
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

namespace {

// What _FORTIFY_SOURCE refuses: a file that is to be made without a mode. The real call ends the
// process and says so.
bool LacksMode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

constinit real::RealCall<int(const char*, int)> real_open_2{"__open_2"};
constinit real::RealCall<int(int, const char*, int)> real_openat_2{"__openat_2"};

}  // namespace

// The definitions have names of their own in C++: libc's declarations are variadic, or noexcept,
// which ours must not be because a coroutine that is parked here may be unwound.
extern "C" {

COGI_API int CogiOpen(const char* path, int flags, mode_t mode) __asm__("open");
COGI_API int CogiOpenChecked(const char* path, int flags) __asm__("__open_2");
COGI_API int CogiOpenAt(int directory, const char* path, int flags, mode_t mode) __asm__("openat");
COGI_API int CogiOpenAtChecked(int directory, const char* path, int flags) __asm__("__openat_2");
COGI_API int CogiCreat(const char* path, mode_t mode) __asm__("creat");
COGI_API int CogiStat(const char* path, struct stat* status) __asm__("stat");
COGI_API int CogiLstat(const char* path, struct stat* status) __asm__("lstat");
COGI_API int CogiFstatAt(int directory, const char* path, struct stat* status,
                         int flags) __asm__("fstatat");
COGI_API int CogiStatx(int directory, const char* path, int flags, unsigned mask,
                       struct statx* status) __asm__("statx");
COGI_API int CogiAccess(const char* path, int mode) __asm__("access");
COGI_API int CogiMkdir(const char* path, mode_t mode) __asm__("mkdir");
COGI_API int CogiMkdirAt(int directory, const char* path, mode_t mode) __asm__("mkdirat");

int CogiOpen(const char* path, int flags, mode_t mode) {
  if (Untouched()) return real::open(path, flags, mode);
  CallRecord record(Call::open, flags);
  return record.Done(
      OpenInPlace(AT_FDCWD, path, flags, [&](int) { return real::open(path, flags, mode); }));
}
COGI_SAME(int, CogiOpen64, (const char*, int, mode_t) __asm__("open64"), open);

int CogiOpenChecked(const char* path, int flags) {
  return LacksMode(flags) ? real_open_2(path, flags) : CogiOpen(path, flags, 0);
}
COGI_SAME(int, CogiOpen64Checked, (const char*, int)__asm__("__open64_2"), __open_2);

int CogiOpenAt(int directory, const char* path, int flags, mode_t mode) {
  if (Untouched()) return real::openat(directory, path, flags, mode);
  CallRecord record(Call::openat, directory);
  return record.Done(OpenInPlace(directory, path, flags,
                                 [&](int from) { return real::openat(from, path, flags, mode); }));
}
COGI_SAME(int, CogiOpenAt64, (int, const char*, int, mode_t) __asm__("openat64"), openat);

int CogiOpenAtChecked(int directory, const char* path, int flags) {
  return LacksMode(flags) ? real_openat_2(directory, path, flags)
                          : CogiOpenAt(directory, path, flags, 0);
}
COGI_SAME(int, CogiOpenAt64Checked, (int, const char*, int)__asm__("__openat64_2"), __openat_2);

int CogiCreat(const char* path, mode_t mode) {
  if (Untouched()) return real::creat(path, mode);
  CallRecord record(Call::creat, mode);
  return record.Done(OpenInPlace(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC,
                                 [&](int) { return real::creat(path, mode); }));
}
COGI_SAME(int, CogiCreat64, (const char*, mode_t) __asm__("creat64"), creat);

int CogiStat(const char* path, struct stat* status) {
  if (Untouched()) return real::stat(path, status);
  CallRecord record(Call::stat, 0);
  return record.Done(InPlace(AT_FDCWD, path, true,
                             [&](int, const PathScope&) { return real::stat(path, status); }));
}
COGI_SAME(int, CogiStat64, (const char*, struct stat*)__asm__("stat64"), stat);

int CogiLstat(const char* path, struct stat* status) {
  if (Untouched()) return real::lstat(path, status);
  CallRecord record(Call::lstat, 0);
  return record.Done(InPlace(AT_FDCWD, path, false,
                             [&](int, const PathScope&) { return real::lstat(path, status); }));
}
COGI_SAME(int, CogiLstat64, (const char*, struct stat*)__asm__("lstat64"), lstat);

int CogiFstatAt(int directory, const char* path, struct stat* status, int flags) {
  if (Untouched()) return real::fstatat(directory, path, status, flags);
  CallRecord record(Call::fstatat, directory);
  return record.Done(InPlace(
      directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0,
      [&](int from, const PathScope&) { return real::fstatat(from, path, status, flags); }));
}
COGI_SAME(int, CogiFstatAt64, (int, const char*, struct stat*, int)__asm__("fstatat64"), fstatat);

int CogiStatx(int directory, const char* path, int flags, unsigned mask, struct statx* status) {
  if (Untouched()) return real::statx(directory, path, flags, mask, status);
  CallRecord record(Call::statx, directory);
  return record.Done(InPlace(
      directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0,
      [&](int from, const PathScope&) { return real::statx(from, path, flags, mask, status); }));
}

int CogiAccess(const char* path, int mode) {
  if (Untouched()) return real::access(path, mode);
  CallRecord record(Call::access, mode);
  return record.Done(InPlace(AT_FDCWD, path, true,
                             [&](int, const PathScope&) { return real::access(path, mode); }));
}

// On its own thread: a helper's umask is whichever the process has at that moment.
int CogiMkdir(const char* path, mode_t mode) {
  if (Untouched()) return real::mkdir(path, mode);
  CallRecord record(Call::mkdir, mode);
  return record.Done(InPlace(AT_FDCWD, path, false,
                             [&](int, const PathScope&) { return real::mkdir(path, mode); }));
}

int CogiMkdirAt(int directory, const char* path, mode_t mode) {
  if (Untouched()) return real::mkdirat(directory, path, mode);
  CallRecord record(Call::mkdirat, directory);
  return record.Done(InPlace(directory, path, false, [&](int from, const PathScope&) {
    return real::mkdirat(from, path, mode);
  }));
}

}  // extern "C"
