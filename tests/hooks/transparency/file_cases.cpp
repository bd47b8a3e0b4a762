// open(), stat() and their family.
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

// The calls without what their declarations promise of pointers, which sanitizers check.
int (*const open_call)(const char*, int, ...) = open;
int (*const openat_call)(int, const char*, int, ...) = openat;
int (*const stat_call)(const char*, struct stat*) = stat;
int (*const access_call)(const char*, int) = access;

std::string Numbers(std::initializer_list<long> numbers) {
  std::string text;
  for (const long number : numbers) text += std::to_string(number) + " ";
  return text;
}

// A folder with a file, a link to it and a link to nowhere.
class Folder {
 public:
  Folder() {
    if (mkdtemp(path_) == nullptr) return;
    fd_ = open(path_, O_PATH | O_DIRECTORY);
    const Fd file(openat(fd_, "file", O_WRONLY | O_CREAT, 0640));
    if (write(file, "12345", 5) != 5) return;
    if (symlinkat("file", fd_, "link") != 0 || symlinkat("nowhere", fd_, "dangling") != 0) return;
  }
  ~Folder() {
    for (const char* name : {"file", "link", "dangling", "new"}) unlinkat(fd_, name, 0);
    close(fd_);
    rmdir(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::string operator/(const char* name) const {
    return std::string(path_) + "/" + name;
  }

 private:
  char path_[32] = "transparency-XXXXXX";
  int fd_ = -1;
};

// What a descriptor is good for; closes it.
long Opened(int fd) {
  const long flags = fd < 0 ? -errno : fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK);
  if (fd >= 0) close(fd);
  return flags;
}

std::string Seen(int result, const struct stat& status) {
  return result != 0 ? Numbers({result, errno})
                     : Numbers({result, static_cast<long>(status.st_mode),
                                static_cast<long>(status.st_size)});
}

TRANSPARENT(open, "files, links, a folder, with all kinds of flags") {
  const Folder folder;
  return {0, 0,
          Numbers({Opened(open((folder / "file").c_str(), O_RDONLY)),
                   Opened(open((folder / "link").c_str(), O_RDWR | O_APPEND | O_NONBLOCK)),
                   Opened(open((folder / "link").c_str(), O_RDONLY | O_NOFOLLOW)),
                   Opened(open((folder / "dangling").c_str(), O_RDONLY)),
                   Opened(open((folder / ".").c_str(), O_RDONLY | O_DIRECTORY)),
                   Opened(open((folder / ".").c_str(), O_WRONLY)),
                   Opened(open((folder / "file").c_str(), O_RDONLY | O_DIRECTORY)),
                   Opened(open((folder / "file").c_str(), O_PATH)),
                   Opened(open((folder / "file").c_str(), 0x40000000))})};
}
TRANSPARENT(open, "that makes, empties, insists, or has no name") {
  const Folder folder;
  const long made = Opened(open((folder / "new").c_str(), O_WRONLY | O_CREAT, 0600));
  const long again = Opened(open((folder / "new").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  const long emptied = Opened(open((folder / "file").c_str(), O_WRONLY | O_TRUNC));
  const long unnamed = Opened(open((folder / ".").c_str(), O_WRONLY | O_TMPFILE, 0600)) >= 0;
  struct stat made_status {
  }, emptied_status{};
  stat((folder / "new").c_str(), &made_status);
  stat((folder / "file").c_str(), &emptied_status);
  return {0, 0,
          Numbers({made, again, emptied, unnamed, static_cast<long>(made_status.st_mode),
                   static_cast<long>(emptied_status.st_size)})};
}
TRANSPARENT(open, "no such path, a file for a folder, too long, empty, null") {
  const Folder folder;
  return {0, 0,
          Numbers({Opened(open((folder / "none").c_str(), O_RDONLY)),
                   Opened(open((folder / "file/x").c_str(), O_RDONLY)),
                   Opened(open((folder / "none/x").c_str(), O_WRONLY | O_CREAT, 0600)),
                   Opened(open(std::string(5000, 'x').c_str(), O_RDONLY)),
                   Opened(open(std::string(300, 'x').c_str(), O_RDONLY)),
                   Opened(open("", O_RDONLY)), Opened(open_call(nullptr, O_RDONLY))})};
}
TRANSPARENT(open, "EMFILE is not mistaken for anything else, /dev/null and /proc") {
  return {0, 0,
          Numbers({Opened(open("/dev/null", O_RDWR)), Opened(open("/proc/self/status", O_RDONLY)),
                   Opened(open("/proc/self/fd/0/none", O_RDONLY))})};
}
TRANSPARENT(openat, "from a folder, from here, from what is none") {
  const Folder folder;
  return {
      0, 0,
      Numbers({Opened(openat(folder.fd(), "file", O_RDONLY)),
               Opened(openat(folder.fd(), "new", O_RDWR | O_CREAT, 0600)),
               Opened(openat(AT_FDCWD, (folder / "file").c_str(), O_RDONLY)),
               Opened(openat(kClosedFd, "/dev/null", O_RDONLY)),
               Opened(openat(kClosedFd, "file", O_RDONLY)), Opened(openat(-1, "file", O_RDONLY)),
               Opened(openat(folder.fd(), "none", O_RDONLY)),
               Opened(openat_call(folder.fd(), nullptr, O_RDONLY))})};
}
TRANSPARENT(creat, "new, there already, in no folder") {
  const Folder folder;
  const long made = Opened(creat((folder / "new").c_str(), 0644));
  const long emptied = Opened(creat((folder / "file").c_str(), 0644));
  const long nowhere = Opened(creat((folder / "none/new").c_str(), 0644));
  struct stat status {};
  const int result = stat((folder / "file").c_str(), &status);
  return {0, 0, Numbers({made, emptied, nowhere}) + Seen(result, status)};
}
TRANSPARENT(stat, "a file, links, a folder, nothing, bad pointers") {
  const Folder folder;
  std::string text;
  for (const char* name : {"file", "link", "dangling", ".", "none", "file/x"}) {
    struct stat status {};
    text += Seen(stat((folder / name).c_str(), &status), status);
  }
  struct stat status;
  text += Numbers({Result(stat("", &status)).error, Result(stat_call("/", nullptr)).error});
#ifndef __SANITIZE_ADDRESS__  // whose own stat() measures the path
  text += Numbers({Result(stat_call(nullptr, &status)).error});
#endif
  return {0, 0, text};
}
TRANSPARENT(lstat, "a file, links, a folder, nothing") {
  const Folder folder;
  std::string text;
  for (const char* name : {"file", "link", "dangling", ".", "none"}) {
    struct stat status {};
    text += Seen(lstat((folder / name).c_str(), &status), status);
  }
  return {0, 0, text};
}
TRANSPARENT(fstatat, "with and without following, by descriptor, bad flags") {
  const Folder folder;
  std::string text;
  for (const int flags : {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 0x40000000}) {
    for (const char* name : {"link", "dangling", "", "none"}) {
      struct stat status {};
      text += Seen(fstatat(folder.fd(), name, &status, flags), status);
    }
  }
  struct stat status;
  return {0, 0, text + Numbers({Result(fstatat(kClosedFd, "file", &status, 0)).error})};
}
TRANSPARENT(statx, "what was asked for, by descriptor, nothing, bad arguments") {
  const Folder folder;
  std::string text;
  for (const char* name : {"file", "link", "dangling", ""}) {
    struct statx status {};
    const int result = statx(folder.fd(), name, AT_EMPTY_PATH, STATX_SIZE | STATX_TYPE, &status);
    text += Numbers({result, result != 0 ? errno : status.stx_mode & S_IFMT});
  }
  struct statx status;
  return {0, 0,
          text + Numbers({Result(statx(folder.fd(), "file", 0, 0x80000000, &status)).error,
                          Result(statx(-1, "file", 0, STATX_SIZE, &status)).error})};
}
TRANSPARENT(access, "what is there, what is not, modes that do not exist") {
  const Folder folder;
  return {0, 0,
          Numbers({Result(access((folder / "file").c_str(), F_OK)).error,
                   Result(access((folder / "link").c_str(), R_OK | W_OK)).error,
                   Result(access((folder / "dangling").c_str(), F_OK)).error,
                   Result(access((folder / "none").c_str(), R_OK)).error,
                   Result(access((folder / "file").c_str(), 64)).error,
                   Result(access_call(nullptr, F_OK)).error})};
}

}  // namespace
}  // namespace cogi::hooks::transparency
