// The calls that take a path: for a program, relative paths start in its own working directory, its
// own umask counts, and what it opens is its own. Without a program they are libc's.
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include <cerrno>
#include <cstdio>

#include "hooks/program.h"
#include "hooks/program_path.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// Opened() makes a descriptor that the program has just opened its own. -1 stays -1.
int Opened(int fd) {
  Program* program = Program::Current();
  if (program == nullptr || fd < 0) return fd;
  program->Opened(fd);
  return program->Place(fd);
}

// The kernel's number for a directory descriptor that the program gives.
int ResolveDirectory(int fd) {
  Program* program = Program::Current();
  return program == nullptr || fd == AT_FDCWD ? fd : program->Resolve(fd).fd;
}

// What a relative path is relative to: only AT_FDCWD means the working directory.
const char* FromHere(int directory, const char* path) { return directory == AT_FDCWD ? path : "/"; }

DIR* Listed(DIR* directory) {
  Program* program = Program::Current();
  if (program == nullptr || directory == nullptr) return directory;
  program->Opened(dirfd(directory));
  program->open_files().Add(directory);
  return directory;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

// COGI_PATH_CALL defines the interposed function `name`. `fail` is what it returns when the working
// directory cannot be entered; `paths` are the paths that may be relative; `wrap` is applied to the
// result. The definition has a name of its own in C++, because libc's declarations differ in what
// they throw.
#define COGI_PATH_CALL(result, name, parameters, arguments, paths, fail, wrap)        \
  static constinit cogi::hooks::real::RealCall<result parameters> real_##name{#name}; \
  extern "C" COGI_API result Cogi_##name parameters __asm__(#name);                   \
  result Cogi_##name parameters {                                                     \
    PathScope scope paths;                                                            \
    if (!scope.ok()) return fail;                                                     \
    return wrap(real_##name arguments);                                               \
  }
#define COGI_PLAIN(value) (value)

#define COGI_ONE_PATH(name, parameters, arguments) \
  COGI_PATH_CALL(int, name, parameters, arguments, (path), -1, COGI_PLAIN)
#define COGI_TWO_PATHS(name, parameters, arguments) \
  COGI_PATH_CALL(int, name, parameters, arguments, (path, other), -1, COGI_PLAIN)
#define COGI_AT(name, parameters, arguments) \
  COGI_PATH_CALL(int, name, parameters, arguments, (FromHere(fd, path)), -1, COGI_PLAIN)
#define COGI_OPEN(name, parameters, arguments, paths) \
  COGI_PATH_CALL(int, name, parameters, arguments, paths, -1, Opened)

COGI_OPEN(open, (const char* path, int flags, mode_t mode), (path, flags, mode), (path))
COGI_OPEN(open64, (const char* path, int flags, mode_t mode), (path, flags, mode), (path))
COGI_OPEN(__open_2, (const char* path, int flags), (path, flags), (path))
COGI_OPEN(__open64_2, (const char* path, int flags), (path, flags), (path))
COGI_OPEN(creat, (const char* path, mode_t mode), (path, mode), (path))
COGI_OPEN(creat64, (const char* path, mode_t mode), (path, mode), (path))
COGI_OPEN(openat, (int fd, const char* path, int flags, mode_t mode),
          (ResolveDirectory(fd), path, flags, mode), (FromHere(fd, path)))
COGI_OPEN(openat64, (int fd, const char* path, int flags, mode_t mode),
          (ResolveDirectory(fd), path, flags, mode), (FromHere(fd, path)))
COGI_OPEN(__openat_2, (int fd, const char* path, int flags), (ResolveDirectory(fd), path, flags),
          (FromHere(fd, path)))
COGI_OPEN(__openat64_2, (int fd, const char* path, int flags), (ResolveDirectory(fd), path, flags),
          (FromHere(fd, path)))
COGI_OPEN(mkstemp, (char* path), (path), (path))
COGI_OPEN(mkstemp64, (char* path), (path), (path))
COGI_OPEN(mkostemp, (char* path, int flags), (path, flags), (path))
COGI_OPEN(mkostemp64, (char* path, int flags), (path, flags), (path))
COGI_OPEN(mkstemps, (char* path, int suffix), (path, suffix), (path))
COGI_OPEN(mkstemps64, (char* path, int suffix), (path, suffix), (path))

COGI_ONE_PATH(stat, (const char* path, struct stat* info), (path, info))
COGI_ONE_PATH(stat64, (const char* path, struct stat64* info), (path, info))
COGI_ONE_PATH(lstat, (const char* path, struct stat* info), (path, info))
COGI_ONE_PATH(lstat64, (const char* path, struct stat64* info), (path, info))
COGI_ONE_PATH(__xstat, (int version, const char* path, struct stat* info), (version, path, info))
COGI_ONE_PATH(__lxstat, (int version, const char* path, struct stat* info), (version, path, info))
COGI_ONE_PATH(statfs, (const char* path, struct statfs* info), (path, info))
COGI_ONE_PATH(statfs64, (const char* path, struct statfs64* info), (path, info))
COGI_ONE_PATH(statvfs, (const char* path, struct statvfs* info), (path, info))
COGI_ONE_PATH(statvfs64, (const char* path, struct statvfs64* info), (path, info))
COGI_ONE_PATH(access, (const char* path, int mode), (path, mode))
COGI_ONE_PATH(euidaccess, (const char* path, int mode), (path, mode))
COGI_ONE_PATH(eaccess, (const char* path, int mode), (path, mode))
COGI_ONE_PATH(chmod, (const char* path, mode_t mode), (path, mode))
COGI_ONE_PATH(chown, (const char* path, uid_t user, gid_t group), (path, user, group))
COGI_ONE_PATH(lchown, (const char* path, uid_t user, gid_t group), (path, user, group))
COGI_ONE_PATH(truncate, (const char* path, off_t size), (path, size))
COGI_ONE_PATH(truncate64, (const char* path, off64_t size), (path, size))
COGI_ONE_PATH(mkdir, (const char* path, mode_t mode), (path, mode))
COGI_ONE_PATH(mkfifo, (const char* path, mode_t mode), (path, mode))
COGI_ONE_PATH(mknod, (const char* path, mode_t mode, dev_t device), (path, mode, device))
COGI_ONE_PATH(rmdir, (const char* path), (path))
COGI_ONE_PATH(unlink, (const char* path), (path))
COGI_ONE_PATH(remove, (const char* path), (path))
COGI_ONE_PATH(utime, (const char* path, const utimbuf* times), (path, times))
COGI_ONE_PATH(utimes, (const char* path, const timeval* times), (path, times))
COGI_ONE_PATH(lutimes, (const char* path, const timeval* times), (path, times))
COGI_ONE_PATH(ftw, (const char* path, __ftw_func_t visit, int fds), (path, visit, fds))
COGI_ONE_PATH(ftw64, (const char* path, __ftw64_func_t visit, int fds), (path, visit, fds))
COGI_ONE_PATH(nftw, (const char* path, __nftw_func_t visit, int fds, int flags),
              (path, visit, fds, flags))
COGI_ONE_PATH(nftw64, (const char* path, __nftw64_func_t visit, int fds, int flags),
              (path, visit, fds, flags))
COGI_ONE_PATH(glob, (const char* path, int flags, int (*error)(const char*, int), glob_t* found),
              (path, flags, error, found))

COGI_AT(fstatat, (int fd, const char* path, struct stat* info, int flags),
        (ResolveDirectory(fd), path, info, flags))
COGI_AT(fstatat64, (int fd, const char* path, struct stat64* info, int flags),
        (ResolveDirectory(fd), path, info, flags))
COGI_AT(statx, (int fd, const char* path, int flags, unsigned mask, struct statx* info),
        (ResolveDirectory(fd), path, flags, mask, info))
COGI_AT(faccessat, (int fd, const char* path, int mode, int flags),
        (ResolveDirectory(fd), path, mode, flags))
COGI_AT(fchmodat, (int fd, const char* path, mode_t mode, int flags),
        (ResolveDirectory(fd), path, mode, flags))
COGI_AT(fchownat, (int fd, const char* path, uid_t user, gid_t group, int flags),
        (ResolveDirectory(fd), path, user, group, flags))
COGI_AT(mkdirat, (int fd, const char* path, mode_t mode), (ResolveDirectory(fd), path, mode))
COGI_AT(mkfifoat, (int fd, const char* path, mode_t mode), (ResolveDirectory(fd), path, mode))
COGI_AT(mknodat, (int fd, const char* path, mode_t mode, dev_t device),
        (ResolveDirectory(fd), path, mode, device))
COGI_AT(unlinkat, (int fd, const char* path, int flags), (ResolveDirectory(fd), path, flags))
COGI_AT(utimensat, (int fd, const char* path, const timespec* times, int flags),
        (ResolveDirectory(fd), path, times, flags))
COGI_AT(futimesat, (int fd, const char* path, const timeval* times),
        (ResolveDirectory(fd), path, times))

COGI_TWO_PATHS(rename, (const char* path, const char* other), (path, other))
COGI_TWO_PATHS(link, (const char* path, const char* other), (path, other))
COGI_PATH_CALL(int, symlink, (const char* target, const char* path), (target, path), (path), -1,
               COGI_PLAIN)
COGI_PATH_CALL(int, symlinkat, (const char* target, int fd, const char* path),
               (target, ResolveDirectory(fd), path), (FromHere(fd, path)), -1, COGI_PLAIN)
#define COGI_TWO_PLACES (FromHere(fd, path), FromHere(other_fd, other))
COGI_PATH_CALL(int, renameat, (int fd, const char* path, int other_fd, const char* other),
               (ResolveDirectory(fd), path, ResolveDirectory(other_fd), other), COGI_TWO_PLACES, -1,
               COGI_PLAIN)
COGI_PATH_CALL(int, renameat2,
               (int fd, const char* path, int other_fd, const char* other, unsigned flags),
               (ResolveDirectory(fd), path, ResolveDirectory(other_fd), other, flags),
               COGI_TWO_PLACES, -1, COGI_PLAIN)
COGI_PATH_CALL(int, linkat, (int fd, const char* path, int other_fd, const char* other, int flags),
               (ResolveDirectory(fd), path, ResolveDirectory(other_fd), other, flags),
               COGI_TWO_PLACES, -1, COGI_PLAIN)

COGI_PATH_CALL(ssize_t, readlink, (const char* path, char* buffer, size_t size),
               (path, buffer, size), (path), -1, COGI_PLAIN)
COGI_PATH_CALL(ssize_t, __readlink_chk, (const char* path, char* buffer, size_t size, size_t room),
               (path, buffer, size, room), (path), -1, COGI_PLAIN)
COGI_PATH_CALL(ssize_t, readlinkat, (int fd, const char* path, char* buffer, size_t size),
               (ResolveDirectory(fd), path, buffer, size), (FromHere(fd, path)), -1, COGI_PLAIN)
COGI_PATH_CALL(char*, mkdtemp, (char* path), (path), (path), nullptr, COGI_PLAIN)
COGI_PATH_CALL(char*, __realpath_chk, (const char* path, char* resolved, size_t room),
               (path, resolved, room), (path), nullptr, COGI_PLAIN)
COGI_PATH_CALL(DIR*, opendir, (const char* path), (path), (path), nullptr, Listed)
COGI_PATH_CALL(int, scandir,
               (const char* path, dirent*** list, int (*select)(const dirent*),
                int (*compare)(const dirent**, const dirent**)),
               (path, list, select, compare), (path), -1, COGI_PLAIN)

namespace cogi::hooks {
namespace {

constinit real::RealCall<char*(const char*, char*)> real_realpath{"realpath"};
constinit real::RealCall<char*(const char*)> real_canonicalize{"canonicalize_file_name"};
constinit real::RealCall<DIR*(int)> real_fdopendir{"fdopendir"};
constinit real::RealCall<int(DIR*)> real_closedir{"closedir"};

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API char* realpath(const char* path, char* resolved) noexcept {
  PathScope scope(path);
  char* result = scope.ok() ? real_realpath(path, resolved) : nullptr;
  if (resolved == nullptr) AdoptBlock(result, __builtin_return_address(0));
  return result;
}

COGI_API char* canonicalize_file_name(const char* path) noexcept {
  PathScope scope(path);
  char* result = scope.ok() ? real_canonicalize(path) : nullptr;
  AdoptBlock(result, __builtin_return_address(0));
  return result;
}

COGI_API DIR* fdopendir(int fd) {
  DIR* directory = real_fdopendir(ResolveDirectory(fd));
  Program* program = Program::Current();
  if (program != nullptr && directory != nullptr) program->open_files().Add(directory);
  return directory;
}

COGI_API int closedir(DIR* directory) {
  if (Program* program = Program::Current()) {
    program->open_files().Remove(directory);
    program->Closed(dirfd(directory));
  }
  return real_closedir(directory);
}

}  // extern "C"
