// Calls that change folders, list them, or cut files: rename(), unlink(), truncate(), opendir() and
// their family. They may have to wait for the disk wherever they are made, so a helper thread makes
// them while the coroutine is parked. It does not know of working directories: it gets the folder
// that a relative path begins in.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"
#include "hooks/file_helper.h"
#include "hooks/file_path.h"
#include "hooks/file_write.h"
#include "hooks/program.h"
#include "hooks/program_path.h"

namespace cogi::hooks {
namespace {

bool Untouched() { return !Hooked() && Program::Current() == nullptr; }

// Where the calling coroutine may wait for a helper. One that is cancelled tidies up here and now.
bool HelperMayDoIt() {
  return Hooked() && FilesAreOffloaded() && !coroutine::CancelEndsWaits(*coroutine::Current());
}

// HelperPath is a path as a helper thread can use it: a copy, and the folder that it begins in.
// Made in the place of the program that runs.
class HelperPath {
 public:
  // `directory` is the kernel's number, or AT_FDCWD.
  HelperPath(int directory, const char* path) noexcept : from_(directory) {
    if (!MayBeCopied(directory, path)) return;
    if (directory == AT_FDCWD && *path != '/') {
      from_ = opened_ = RawOpen(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
      if (opened_ < 0) return;
    }
    const size_t size = strlen(path) + 1;
    text_ = NewBounce(size);
    if (text_ != nullptr) memcpy(text_.get(), path, size);
  }
  ~HelperPath() {
    if (opened_ >= 0) real::close(opened_);
  }
  HelperPath(const HelperPath&) = delete;
  HelperPath& operator=(const HelperPath&) = delete;

  // False: the real call has the word, for it fails at once, or cannot be helped.
  [[nodiscard]] bool ok() const { return text_ != nullptr; }
  [[nodiscard]] int from() const { return from_; }
  [[nodiscard]] const std::shared_ptr<char[]>& text() const { return text_; }

 private:
  // The kernel tells of a path that cannot be read, is too long, or leads to nowhere.
  static bool MayBeCopied(int directory, const char* path) noexcept {
    if (path == nullptr) return false;
    const int fd = RawOpen(directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, RESOLVE_CACHED);
    if (fd >= 0) real::close(fd);
    return fd >= 0 || errno == EAGAIN || errno == ENOENT;
  }

  int from_;
  int opened_ = -1;
  std::shared_ptr<char[]> text_;
};

template <class Call>
int ByHelper(Call call) {
  return static_cast<int>(OnFileHelper(0, [call]() -> ssize_t { return call(); }));
}

// Changes what `path` leads to: by `call(from, path)` on a helper thread, or by `here(directory)`,
// the real call, where that cannot be.
template <class Call, class Here>
int Change(int directory, const char* path, Call call, Here here) {
  std::optional<PathScope> scope(std::in_place, FromHere(directory, path));
  if (!scope->ok()) return -1;
  const int kernel_directory = KernelDirectory(directory);
  if (HelperMayDoIt()) {
    const HelperPath what(kernel_directory, path);
    scope.reset();
    if (what.ok())
      return ByHelper(
          [call, from = what.from(), text = what.text()] { return call(from, text.get()); });
    scope.emplace(FromHere(directory, path));
  }
  return here(kernel_directory);
}

// The same for calls with two paths: `call(from, path, other_from, other)`,
// `here(directory, other_directory)`.
template <class Call, class Here>
int ChangeTwo(int directory, const char* path, int other_directory, const char* other, Call call,
              Here here) {
  const char* first = FromHere(directory, path);
  const char* second = FromHere(other_directory, other);
  std::optional<PathScope> scope(std::in_place, first, second);
  if (!scope->ok()) return -1;
  const int kernel = KernelDirectory(directory), other_kernel = KernelDirectory(other_directory);
  if (HelperMayDoIt()) {
    const HelperPath what(kernel, path), to(other_kernel, other);
    scope.reset();
    if (what.ok() && to.ok()) {
      return ByHelper(
          [call, from = what.from(), text = what.text(), to_from = to.from(), to_text = to.text()] {
            return call(from, text.get(), to_from, to_text.get());
          });
    }
    scope.emplace(first, second);
  }
  return here(kernel, other_kernel);
}

int RenameInside(int fd, const char* path, int other_fd, const char* other, unsigned flags) {
  return ChangeTwo(
      fd, path, other_fd, other,
      [flags](int from, const char* what, int to, const char* name) {
        return real::renameat2(from, what, to, name, flags);
      },
      [&](int from, int to) { return real::renameat2(from, path, to, other, flags); });
}

int LinkInside(int fd, const char* path, int other_fd, const char* other, int flags) {
  return ChangeTwo(
      fd, path, other_fd, other,
      [flags](int from, const char* what, int to, const char* name) {
        return real::linkat(from, what, to, name, flags);
      },
      [&](int from, int to) { return real::linkat(from, path, to, other, flags); });
}

// The target is text, and leads nowhere yet.
int SymlinkInside(const char* target, int fd, const char* path) {
  const size_t length = target == nullptr ? PATH_MAX : strnlen(target, PATH_MAX);
  const std::shared_ptr<char[]> text = length < PATH_MAX ? NewBounce(length + 1) : nullptr;
  const auto here = [&](int from) { return real::symlinkat(target, from, path); };
  if (text == nullptr) {
    const PathScope scope(FromHere(fd, path));
    return scope.ok() ? here(KernelDirectory(fd)) : -1;
  }
  memcpy(text.get(), target, length + 1);
  return Change(
      fd, path,
      [text](int from, const char* name) { return real::symlinkat(text.get(), from, name); }, here);
}

int UnlinkInside(int fd, const char* path, int flags) {
  return Change(
      fd, path, [flags](int from, const char* name) { return real::unlinkat(from, name, flags); },
      [&](int from) { return real::unlinkat(from, path, flags); });
}

int RemoveInside(const char* path) {
  const int result = UnlinkInside(AT_FDCWD, path, 0);
  return result == 0 || errno != EISDIR ? result : UnlinkInside(AT_FDCWD, path, AT_REMOVEDIR);
}

// `fd` is the kernel's.
int Cut(int fd, off_t size) {
  const Description* description = FdTable::Get(fd);
  if (description == nullptr || description->kind() != FdKind::kFile || !HelperMayDoIt())
    return real::ftruncate(fd, size);
  return static_cast<int>(
      OnFileHelper(static_cast<uintptr_t>(fd), [fd, size] { return real::ftruncate(fd, size); }));
}

// What is no regular file, or cannot be opened for writing, truncate(2) itself refuses.
int TruncateInside(const char* path, off_t size) {
  const PathScope scope(path);
  if (!scope.ok()) return -1;
  WalkAhead(AT_FDCWD, path, true);
  if (!scope.ok()) return -1;
  struct stat status;
  if (HelperMayDoIt() && path != nullptr && real::stat(path, &status) == 0 &&
      S_ISREG(status.st_mode)) {
    const int fd = RawOpen(AT_FDCWD, path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd >= 0) {
      const int result = static_cast<int>(OnFileHelper(
          static_cast<uintptr_t>(fd), [fd, size] { return real::ftruncate(fd, size); }));
      const int error = errno;
      real::close(fd);
      errno = error;
      return result;
    }
  }
  return real::truncate(path, size);
}

// Has a helper thread read a folder that has just been opened, so that its blocks are in memory
// when readdir() comes to them.
void ReadFolderAhead(int fd) {
  if (!HelperMayDoIt() || (IsMemory(fd) && !FilesAreSlow())) return;
  constexpr size_t kPiece = 32 << 10, kMost = 4 << 20;
  const std::shared_ptr<char[]> data = NewBounce(kPiece);
  if (data == nullptr) return;
  OnFileHelper(static_cast<uintptr_t>(fd), [fd, data]() -> ssize_t {
    long got = 1;
    for (size_t done = 0; got > 0 && done < kMost; done += static_cast<size_t>(got))
      got = real::syscall(SYS_getdents64, fd, reinterpret_cast<long>(data.get()), kPiece, 0, 0, 0);
    return real::lseek(fd, 0, SEEK_SET);
  });
}

DIR* OpenFolder(const char* path) {
  DIR* folder = nullptr;
  {
    const PathScope scope(path);
    if (!scope.ok()) return nullptr;
    WalkAhead(AT_FDCWD, path, true);
    if (!scope.ok()) return nullptr;
    folder = real::opendir(path);
  }
  if (folder == nullptr) return nullptr;
  if (Program* program = Program::Current()) {
    program->Opened(dirfd(folder));
    program->open_files().Add(folder);
  }
  const int error = errno;
  ReadFolderAhead(dirfd(folder));
  errno = error;
  return folder;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

// Names of their own in C++: see file_path.cpp.
extern "C" {

COGI_API int CogiRename(const char* path, const char* other) __asm__("rename");
COGI_API int CogiRenameAt(int fd, const char* path, int other_fd,
                          const char* other) __asm__("renameat");
COGI_API int CogiRenameAt2(int fd, const char* path, int other_fd, const char* other,
                           unsigned flags) __asm__("renameat2");
COGI_API int CogiLink(const char* path, const char* other) __asm__("link");
COGI_API int CogiLinkAt(int fd, const char* path, int other_fd, const char* other,
                        int flags) __asm__("linkat");
COGI_API int CogiSymlink(const char* target, const char* path) __asm__("symlink");
COGI_API int CogiSymlinkAt(const char* target, int fd, const char* path) __asm__("symlinkat");
COGI_API int CogiUnlink(const char* path) __asm__("unlink");
COGI_API int CogiUnlinkAt(int fd, const char* path, int flags) __asm__("unlinkat");
COGI_API int CogiRemove(const char* path) __asm__("remove");
COGI_API int CogiRmdir(const char* path) __asm__("rmdir");
COGI_API int CogiTruncate(const char* path, off_t size) __asm__("truncate");
COGI_API int CogiFtruncate(int fd, off_t size) __asm__("ftruncate");

int CogiRename(const char* path, const char* other) {
  if (Untouched()) return real::rename(path, other);
  CallRecord record(Call::rename, 0);
  return record.Done(RenameInside(AT_FDCWD, path, AT_FDCWD, other, 0));
}

int CogiRenameAt(int fd, const char* path, int other_fd, const char* other) {
  if (Untouched()) return real::renameat(fd, path, other_fd, other);
  CallRecord record(Call::renameat, fd);
  return record.Done(RenameInside(fd, path, other_fd, other, 0));
}

int CogiRenameAt2(int fd, const char* path, int other_fd, const char* other, unsigned flags) {
  if (Untouched()) return real::renameat2(fd, path, other_fd, other, flags);
  CallRecord record(Call::renameat2, fd);
  return record.Done(RenameInside(fd, path, other_fd, other, flags));
}

int CogiLink(const char* path, const char* other) {
  if (Untouched()) return real::link(path, other);
  CallRecord record(Call::link, 0);
  return record.Done(LinkInside(AT_FDCWD, path, AT_FDCWD, other, 0));
}

int CogiLinkAt(int fd, const char* path, int other_fd, const char* other, int flags) {
  if (Untouched()) return real::linkat(fd, path, other_fd, other, flags);
  CallRecord record(Call::linkat, fd);
  return record.Done(LinkInside(fd, path, other_fd, other, flags));
}

int CogiSymlink(const char* target, const char* path) {
  if (Untouched()) return real::symlink(target, path);
  CallRecord record(Call::symlink, 0);
  return record.Done(SymlinkInside(target, AT_FDCWD, path));
}

int CogiSymlinkAt(const char* target, int fd, const char* path) {
  if (Untouched()) return real::symlinkat(target, fd, path);
  CallRecord record(Call::symlinkat, fd);
  return record.Done(SymlinkInside(target, fd, path));
}

int CogiUnlink(const char* path) {
  if (Untouched()) return real::unlink(path);
  CallRecord record(Call::unlink, 0);
  return record.Done(UnlinkInside(AT_FDCWD, path, 0));
}

int CogiUnlinkAt(int fd, const char* path, int flags) {
  if (Untouched()) return real::unlinkat(fd, path, flags);
  CallRecord record(Call::unlinkat, fd);
  return record.Done(UnlinkInside(fd, path, flags));
}

int CogiRemove(const char* path) {
  if (Untouched()) return real::remove(path);
  CallRecord record(Call::remove, 0);
  return record.Done(RemoveInside(path));
}

int CogiRmdir(const char* path) {
  if (Untouched()) return real::rmdir(path);
  CallRecord record(Call::rmdir, 0);
  return record.Done(UnlinkInside(AT_FDCWD, path, AT_REMOVEDIR));
}

int CogiTruncate(const char* path, off_t size) {
  if (Untouched()) return real::truncate(path, size);
  CallRecord record(Call::truncate, size);
  return record.Done(TruncateInside(path, size));
}
COGI_SAME(int, CogiTruncate64, (const char*, off64_t) __asm__("truncate64"), truncate);

int CogiFtruncate(int fd, off_t size) {
  if (Untouched()) return real::ftruncate(fd, size);
  CallRecord record(Call::ftruncate, fd);
  return record.Done(OnKernelFd(fd, EINVAL, [size](int resolved) { return Cut(resolved, size); }));
}
COGI_SAME(int, CogiFtruncate64, (int, off64_t) __asm__("ftruncate64"), ftruncate);

COGI_API DIR* opendir(const char* path) {
  if (Untouched()) return real::opendir(path);
  CallRecord record(Call::opendir, 0);
  DIR* folder = OpenFolder(path);
  record.Done(folder == nullptr ? -1 : dirfd(folder));
  return folder;
}

}  // extern "C"
