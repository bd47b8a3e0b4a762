#include "server/document_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "hooks/file_helper.h"
#include "server/real_calls.h"

namespace cogi::server {
namespace {

// The fallback where the kernel or a seccomp filter has no openat2(): one segment after the other,
// following no symbolic link at all.
int OpenBySegments(int root, std::string_view path, int flags) {
  UniqueFd at(openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  while (at) {
    const size_t slash = path.find('/');
    const std::string segment(path.substr(0, slash));
    if (slash == std::string_view::npos || slash + 1 == path.size()) {
      const int fd =
          openat(at.get(), segment.empty() ? "." : segment.c_str(),
                 flags | O_NOFOLLOW | (slash != std::string_view::npos ? O_DIRECTORY : 0));
      if (fd < 0 && errno == ELOOP) errno = EXDEV;
      return fd;
    }
    at.Reset(openat(at.get(), segment.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    path.remove_prefix(slash + 1);
  }
  return -1;
}

// openat2(2). What of the path is not in memory a helper thread walks first, so that the worker
// does not wait for the disk.
long OpenOffTheLoop(int root, const std::string& name, open_how how) {
  const uint64_t resolve = how.resolve;
  how.resolve |= RESOLVE_CACHED;
  long fd = -1;
  errno = EAGAIN;
  if (!hooks::FilesAreSlow()) fd = syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
  if (fd >= 0 || (errno != EAGAIN && errno != EINVAL)) return fd;
  how.resolve = resolve;
  if (errno == EAGAIN) {
    open_how walk{};
    walk.flags = O_PATH | O_CLOEXEC;
    walk.resolve = resolve;
    hooks::OnFileHelper(static_cast<uintptr_t>(root), [root, name, walk]() -> ssize_t {
      const long there = syscall(SYS_openat2, root, name.c_str(), &walk, sizeof walk);
      return there < 0 ? -1 : Real().close(static_cast<int>(there));
    });
  }
  return syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
}

int OpenBeneath(int root, std::string_view path, int flags) {
  static bool have_openat2 = true;
  if (have_openat2) {
    const std::string name(path.empty() ? "." : path);
    open_how how{};
    how.flags = static_cast<uint64_t>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const long fd = OpenOffTheLoop(root, name, how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
    have_openat2 = errno != ENOSYS;
  }
  return OpenBySegments(root, path, flags);
}

}  // namespace

bool HasHiddenPart(std::string_view path) {
  constexpr std::string_view kWellKnown = ".well-known";
  if (path == kWellKnown) return false;
  if (path.starts_with(kWellKnown) && path[kWellKnown.size()] == '/')
    path.remove_prefix(kWellKnown.size() + 1);
  return path.starts_with('.') || path.find("/.") != std::string_view::npos;
}

DocumentRoot::DocumentRoot(std::string directory) : directory_(std::move(directory)) {
  while (directory_.size() > 1 && directory_.ends_with('/')) directory_.pop_back();
  root_.Reset(open(directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_) root_error_ = errno;
}

OpenedFile DocumentRoot::Open(std::string_view path) const {
  return OpenWith(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

OpenedFile DocumentRoot::Look(std::string_view path) const {
  return OpenWith(path, O_PATH | O_CLOEXEC);
}

OpenedFile DocumentRoot::OpenWith(std::string_view path, int flags) const {
  OpenedFile file;
  if (!root_) {
    file.error = root_error_;
  } else if (HasHiddenPart(path) || path.find('\0') != std::string_view::npos) {
    file.error = ENOENT;
  } else {
    file.fd.Reset(OpenBeneath(root_.get(), path, flags));
    if (!file.fd || fstat(file.fd.get(), &file.status) != 0) {
      file.error = errno;
      file.fd.Reset();
    }
  }
  return file;
}

}  // namespace cogi::server
