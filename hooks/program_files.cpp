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
#define COGI_AT(name, parameters, arguments) \
  COGI_PATH_CALL(int, name, parameters, arguments, (FromHere(fd, path)), -1, COGI_PLAIN)
#define COGI_OPEN(name, parameters, arguments, paths) \
  COGI_PATH_CALL(int, name, parameters, arguments, paths, -1, OpenedByProgram)

COGI_OPEN(mkstemp, (char* path), (path), (path))
COGI_OPEN(mkstemp64, (char* path), (path), (path))
COGI_OPEN(mkostemp, (char* path, int flags), (path, flags), (path))
COGI_OPEN(mkostemp64, (char* path, int flags), (path, flags), (path))
COGI_OPEN(mkstemps, (char* path, int suffix), (path, suffix), (path))
COGI_OPEN(mkstemps64, (char* path, int suffix), (path, suffix), (path))

COGI_ONE_PATH(__xstat, (int version, const char* path, struct stat* info), (version, path, info))
COGI_ONE_PATH(__lxstat, (int version, const char* path, struct stat* info), (version, path, info))
COGI_ONE_PATH(statfs, (const char* path, struct statfs* info), (path, info))
COGI_ONE_PATH(statfs64, (const char* path, struct statfs64* info), (path, info))
COGI_ONE_PATH(statvfs, (const char* path, struct statvfs* info), (path, info))
COGI_ONE_PATH(statvfs64, (const char* path, struct statvfs64* info), (path, info))
COGI_ONE_PATH(euidaccess, (const char* path, int mode), (path, mode))
COGI_ONE_PATH(eaccess, (const char* path, int mode), (path, mode))
COGI_ONE_PATH(chmod, (const char* path, mode_t mode), (path, mode))
COGI_ONE_PATH(chown, (const char* path, uid_t user, gid_t group), (path, user, group))
COGI_ONE_PATH(lchown, (const char* path, uid_t user, gid_t group), (path, user, group))
COGI_ONE_PATH(mkfifo, (const char* path, mode_t mode), (path, mode))
COGI_ONE_PATH(mknod, (const char* path, mode_t mode, dev_t device), (path, mode, device))
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

COGI_AT(faccessat, (int fd, const char* path, int mode, int flags),
        (KernelDirectory(fd), path, mode, flags))
COGI_AT(fchmodat, (int fd, const char* path, mode_t mode, int flags),
        (KernelDirectory(fd), path, mode, flags))
COGI_AT(fchownat, (int fd, const char* path, uid_t user, gid_t group, int flags),
        (KernelDirectory(fd), path, user, group, flags))
COGI_AT(mkfifoat, (int fd, const char* path, mode_t mode), (KernelDirectory(fd), path, mode))
COGI_AT(mknodat, (int fd, const char* path, mode_t mode, dev_t device),
        (KernelDirectory(fd), path, mode, device))
COGI_AT(utimensat, (int fd, const char* path, const timespec* times, int flags),
        (KernelDirectory(fd), path, times, flags))
COGI_AT(futimesat, (int fd, const char* path, const timeval* times),
        (KernelDirectory(fd), path, times))

COGI_PATH_CALL(ssize_t, readlink, (const char* path, char* buffer, size_t size),
               (path, buffer, size), (path), -1, COGI_PLAIN)
COGI_PATH_CALL(ssize_t, __readlink_chk, (const char* path, char* buffer, size_t size, size_t room),
               (path, buffer, size, room), (path), -1, COGI_PLAIN)
COGI_PATH_CALL(ssize_t, readlinkat, (int fd, const char* path, char* buffer, size_t size),
               (KernelDirectory(fd), path, buffer, size), (FromHere(fd, path)), -1, COGI_PLAIN)
COGI_PATH_CALL(char*, mkdtemp, (char* path), (path), (path), nullptr, COGI_PLAIN)
COGI_PATH_CALL(char*, __realpath_chk, (const char* path, char* resolved, size_t room),
               (path, resolved, room), (path), nullptr, COGI_PLAIN)
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
  DIR* directory = real_fdopendir(KernelDirectory(fd));
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
