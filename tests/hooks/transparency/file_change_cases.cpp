// rename(), unlink(), truncate(), opendir() and their family.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

// The calls without what their declarations promise of pointers, which sanitizers check.
int (*const rename_call)(const char*, const char*) = rename;
int (*const unlink_call)(const char*) = unlink;
int (*const truncate_call)(const char*, off_t) = truncate;
DIR* (*const opendir_call)(const char*) = opendir;

long Said(int result) { return result == 0 ? 0 : -errno; }

std::string Numbers(std::initializer_list<long> numbers) {
  std::string text;
  for (const long number : numbers) text += std::to_string(number) + " ";
  return text;
}

// The names in a folder, with the kind and size of each.
std::string Listed(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return "none " + std::to_string(errno);
  while (const dirent* entry = readdir(folder)) {
    struct stat status {};
    fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW);
    const bool folder_here = S_ISDIR(status.st_mode);
    names.push_back(std::string(entry->d_name) + ' ' + std::to_string(status.st_mode) + ' ' +
                    std::to_string(folder_here ? 0 : status.st_size) + '\n');
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += name;
  return text;
}

// A folder with a file of five bytes, an empty folder, a full one, and a link to nowhere. What a
// case leaves in it goes with it.
class Tree {
 public:
  Tree() {
    if (mkdtemp(path_) == nullptr) return;
    fd_ = open(path_, O_PATH | O_DIRECTORY);
    const Fd file(openat(fd_, "file", O_WRONLY | O_CREAT, 0640));
    if (write(file, "12345", 5) != 5) return;
    mkdirat(fd_, "empty", 0755);
    mkdirat(fd_, "full", 0755);
    mkdirat(fd_, "full/inner", 0755);
    symlinkat("nowhere", fd_, "dangling");
  }
  ~Tree() {
    for (const char* name : {"full/inner", "full/empty", "full", "empty", "new", "file"})
      unlinkat(fd_, name, AT_REMOVEDIR);
    for (const char* name : {"file", "dangling", "new", "other", "full/file"})
      unlinkat(fd_, name, 0);
    unlinkat(fd_, "full", AT_REMOVEDIR);
    close(fd_);
    rmdir(path_);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::string operator/(const char* name) const {
    return std::string(path_) + "/" + name;
  }
  [[nodiscard]] std::string Text() const { return Listed(path_) + Listed(*this / "full"); }

 private:
  char path_[32] = "transparency-XXXXXX";
  int fd_ = -1;
};

const std::string kLong(5000, 'x');

TRANSPARENT(rename, "files and folders, onto others, into nowhere, bad pointers") {
  const Tree tree;
  const auto go = [&](const char* from, const char* to) {
    return Said(rename((tree / from).c_str(), (tree / to).c_str()));
  };
  const std::string said =
      Numbers({go("file", "new"), go("new", "full/file"), go("dangling", "other"),
               go("empty", "full"), go("full", "empty"), go("none", "new"), go("other", "none/x"),
               go("empty", "empty/x"), go("other", "."), Said(rename("", (tree / "x").c_str())),
               Said(rename(kLong.c_str(), (tree / "x").c_str())),
               Said(rename_call(nullptr, (tree / "x").c_str())),
               Said(rename_call((tree / "other").c_str(), nullptr))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(renameat, "from folder to folder, what is none, absolute paths") {
  const Tree tree;
  const Fd full(openat(tree.fd(), "full", O_PATH | O_DIRECTORY));
  const std::string said = Numbers(
      {Said(renameat(tree.fd(), "file", full, "file")),
       Said(renameat(full, "inner", full, "empty")), Said(renameat(kClosedFd, "file", full, "x")),
       Said(renameat(kClosedFd, (tree / "dangling").c_str(), tree.fd(), "new")),
       Said(renameat(tree.fd(), "none", AT_FDCWD, "none"))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(renameat2, "not onto another, in exchange, bad flags") {
  const Tree tree;
  const auto go = [&](const char* from, const char* to, unsigned flags) {
    return Said(renameat2(tree.fd(), from, tree.fd(), to, flags));
  };
  const std::string said =
      Numbers({go("file", "dangling", RENAME_NOREPLACE), go("file", "new", RENAME_NOREPLACE),
               go("new", "empty", RENAME_EXCHANGE), go("none", "empty", RENAME_EXCHANGE),
               go("dangling", "other", RENAME_NOREPLACE | RENAME_EXCHANGE),
               go("dangling", "other", 0x800)});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(link, "a file, a folder, a link, onto what is there") {
  const Tree tree;
  const auto go = [&](const char* from, const char* to) {
    return Said(link((tree / from).c_str(), (tree / to).c_str()));
  };
  const std::string said =
      Numbers({go("file", "new"), go("file", "new"), go("empty", "other"), go("dangling", "other"),
               go("none", "x"), go("file", "none/x")});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(linkat, "following and not, by descriptor, bad flags") {
  const Tree tree;
  const auto go = [&](const char* from, const char* to, int flags) {
    return Said(linkat(tree.fd(), from, tree.fd(), to, flags));
  };
  const std::string said =
      Numbers({go("dangling", "new", AT_SYMLINK_FOLLOW), go("dangling", "new", 0),
               go("file", "other", AT_SYMLINK_FOLLOW), go("file", "x", 0x40000000),
               Said(linkat(kClosedFd, "file", tree.fd(), "x", 0))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(symlink, "to what is there or not, onto what is there, empty, too long") {
  const Tree tree;
  const std::string said =
      Numbers({Said(symlink("file", (tree / "new").c_str())),
               Said(symlink("anything", (tree / "other").c_str())),
               Said(symlink("x", (tree / "file").c_str())), Said(symlink("", (tree / "x").c_str())),
               Said(symlink(kLong.c_str(), (tree / "x").c_str())),
               Said(symlink("x", (tree / "none/x").c_str()))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(symlinkat, "from a folder, from what is none") {
  const Tree tree;
  const std::string said =
      Numbers({Said(symlinkat("file", tree.fd(), "new")), Said(symlinkat("file", tree.fd(), "new")),
               Said(symlinkat("file", kClosedFd, "new")),
               Said(symlinkat("file", -1, (tree / "other").c_str()))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(unlink, "a file, a link, a folder, nothing, bad paths") {
  const Tree tree;
  const std::string said = Numbers(
      {Said(unlink((tree / "file").c_str())), Said(unlink((tree / "file").c_str())),
       Said(unlink((tree / "dangling").c_str())), Said(unlink((tree / "empty").c_str())),
       Said(unlink((tree / "dangling/x").c_str())), Said(unlink("")), Said(unlink(kLong.c_str())),
       Said(unlink_call(nullptr)), Said(unlink_call(reinterpret_cast<const char*>(1)))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(unlinkat, "files and folders by descriptor, bad flags") {
  const Tree tree;
  const std::string said = Numbers(
      {Said(unlinkat(tree.fd(), "file", 0)), Said(unlinkat(tree.fd(), "empty", 0)),
       Said(unlinkat(tree.fd(), "empty", AT_REMOVEDIR)),
       Said(unlinkat(tree.fd(), "full", AT_REMOVEDIR)),
       Said(unlinkat(tree.fd(), "dangling", AT_REMOVEDIR)),
       Said(unlinkat(tree.fd(), "dangling", 0x40000000)), Said(unlinkat(kClosedFd, "file", 0))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(remove, "a file, an empty folder, a full one, nothing") {
  const Tree tree;
  const std::string said =
      Numbers({Said(remove((tree / "file").c_str())), Said(remove((tree / "empty").c_str())),
               Said(remove((tree / "full").c_str())), Said(remove((tree / "none").c_str()))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(rmdir, "an empty folder, a full one, a file, nothing, itself") {
  const Tree tree;
  const std::string said =
      Numbers({Said(rmdir((tree / "empty").c_str())), Said(rmdir((tree / "full").c_str())),
               Said(rmdir((tree / "file").c_str())), Said(rmdir((tree / "none").c_str())),
               Said(rmdir((tree / "full/.").c_str()))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(mkdir, "new, there already, in no folder, by the umask") {
  const Tree tree;
  const std::string said =
      Numbers({Said(mkdir((tree / "new").c_str(), 0777)), Said(mkdir((tree / "new").c_str(), 0700)),
               Said(mkdir((tree / "file").c_str(), 0700)),
               Said(mkdir((tree / "none/x").c_str(), 0700)), Said(mkdir("", 0700))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(mkdirat, "from a folder, from what is none") {
  const Tree tree;
  const std::string said =
      Numbers({Said(mkdirat(tree.fd(), "new", 0750)), Said(mkdirat(tree.fd(), "new", 0750)),
               Said(mkdirat(kClosedFd, "x", 0750))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(truncate, "shorter, longer, a folder, no file, no right length, bad pointers") {
  const Tree tree;
  const std::string shorter = Numbers({Said(truncate((tree / "file").c_str(), 2))}) + tree.Text();
  const std::string said = Numbers(
      {Said(truncate((tree / "file").c_str(), 10'000)), Said(truncate((tree / "file").c_str(), -1)),
       Said(truncate((tree / "empty").c_str(), 0)), Said(truncate((tree / "dangling").c_str(), 0)),
       Said(truncate("/dev/null", 0)), Said(truncate((tree / "file/x").c_str(), 0)),
       Said(truncate_call(nullptr, 0))});
  return {0, 0, shorter + said + tree.Text()};
}
TRANSPARENT(ftruncate, "shorter, longer, not for writing, a pipe, closed") {
  const Tree tree;
  const Fd file(openat(tree.fd(), "file", O_RDWR)), reader(openat(tree.fd(), "file", O_RDONLY));
  const Pair pipe;
  const std::string said =
      Numbers({Said(ftruncate(file, 3)), Said(ftruncate(file, 70'000)), Said(ftruncate(file, -1)),
               Said(ftruncate(reader, 0)), Said(ftruncate(pipe.writer(), 0)),
               Said(ftruncate(kClosedFd, 0)), Said(ftruncate(-1, 0))});
  return {0, 0, said + tree.Text()};
}
TRANSPARENT(opendir, "a folder from its beginning, a file, nothing, bad pointers") {
  const Tree tree;
  DIR* twice = opendir((tree / "full").c_str());
  if (twice == nullptr) return Result(-1);
  int entries = 0;
  while (readdir(twice) != nullptr) ++entries;
  rewinddir(twice);
  while (readdir(twice) != nullptr) ++entries;
  closedir(twice);
  std::string text = tree.Text() + Listed("/proc/self/fdinfo/none") + std::to_string(entries);
  for (const char* path : {"file", "none", "dangling"})
    text += Numbers({opendir((tree / path).c_str()) == nullptr ? errno : 0});
  return {0, 0, text + Numbers({opendir_call("") == nullptr ? errno : 0})};
}

}  // namespace
}  // namespace cogi::hooks::transparency
