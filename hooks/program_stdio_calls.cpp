// The stdio calls that open, close and flush. For a program: relative paths start in its working
// directory, its FILEs are recorded, its own stdin, stdout and stderr are never really closed, and
// nothing of it reaches the process's descriptors 0 to 2. Without a program they are libc's.
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>
#include <wchar.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "hooks/fd_table.h"
#include "hooks/file_fifo.h"
#include "hooks/file_path.h"
#include "hooks/program.h"
#include "hooks/program_path.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

using real::RealCall;
using Kind = OpenFiles::Kind;
constinit RealCall<FILE*(const char*, const char*)> real_fopen{"fopen"};
constinit RealCall<FILE*(const char*, const char*, FILE*)> real_freopen{"freopen"};
constinit RealCall<FILE*(int, const char*)> real_fdopen{"fdopen"};
constinit RealCall<int(FILE*)> real_fclose{"fclose"};
constinit RealCall<int(FILE*)> real_fflush{"fflush"};
constinit RealCall<int()> real_fcloseall{"fcloseall"};
constinit RealCall<FILE*()> real_tmpfile{"tmpfile"};
constinit RealCall<FILE*(char**, size_t*)> real_open_memstream{"open_memstream"};
constinit RealCall<int(int, const char*, va_list)> real_vdprintf{"vdprintf"};
constinit RealCall<int(int, int, const char*, va_list)> real_vdprintf_chk{"__vdprintf_chk"};
constinit RealCall<void(const char*)> real_perror{"perror"};

FILE* Opened(FILE* file) {
  Program* program = Program::Current();
  if (program == nullptr || file == nullptr) return file;
  program->Opened(fileno(file));
  program->open_files().Add({file, Kind::kPlain, nullptr});
  return file;
}

// The flags of open(2) for a mode of fopen(3); -1 for none.
int FlagsOf(const char* mode) {
  const bool both = std::strchr(mode, '+') != nullptr;
  const int extra = (std::strchr(mode, 'e') != nullptr ? O_CLOEXEC : 0) |
                    (std::strchr(mode, 'x') != nullptr ? O_EXCL : 0);
  switch (*mode) {
    case 'r':
      return (both ? O_RDWR : O_RDONLY) | extra;
    case 'w':
      return (both ? O_RDWR : O_WRONLY) | O_CREAT | O_TRUNC | extra;
    case 'a':
      return (both ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND | extra;
    default:
      return -1;
  }
}

// fopen(): the opening is libc's own, which waits for the disk and for the other end of a FIFO; so
// the path is walked ahead, and a FIFO opened for it.
FILE* OpenFile(const char* path, const char* mode) {
  int fifo = kNoFifo;
  {
    PathScope scope(path);
    if (!scope.ok()) return nullptr;
    if (path != nullptr && mode != nullptr && FlagsOf(mode) >= 0) {
      WalkAhead(AT_FDCWD, path, true);
      if (!scope.ok()) return nullptr;
      fifo = OpenFifo(AT_FDCWD, path, FlagsOf(mode), scope);
    }
    if (fifo == kNoFifo) return Opened(real_fopen(path, mode));
  }
  const int fd = OpenedByProgram(fifo);
  if (fd < 0) return nullptr;
  FILE* file = ::fdopen(fd, mode);
  if (file == nullptr) ::close(fd);
  return file;
}

// freopen() of stdin, stdout or stderr: the FILE stays, its descriptor means the file.
FILE* ReopenStandard(Program& program, const char* path, const char* mode, FILE* file, int number) {
  real_fflush(file);
  __fpurge(file);
  clearerr(file);
  if (path == nullptr) return file;
  const int flags = FlagsOf(mode);
  const int fd = flags < 0 ? -1 : ::open(path, flags, 0666);
  if (flags < 0) errno = EINVAL;
  if (fd < 0) {
    const int error = errno;
    program.CloseStandard(number);
    errno = error;
    return nullptr;
  }
  if (fd != number) {
    const int moved = program.Dup2(fd, number);
    ::close(fd);
    if (moved < 0) return nullptr;
  }
  return file;
}

FILE* ReopenOther(Program& program, const char* path, const char* mode, FILE* file) {
  const OpenFiles::Entry entry = program.open_files().Remove(file);
  const int old = entry.kind == Kind::kMemory ? -1 : fileno(file);
  if (entry.kind == Kind::kCookie) {  // libc would not know how to close its descriptor
    real_fclose(file);
    return OpenFile(path, mode);
  }
  if (old >= 0) {
    program.Closed(old);
    FdTable::Release(old);
  }
  PathScope scope(path);
  return Opened(real_freopen(path, mode, file));
}

int CloseFile(Program& program, FILE* file) {
  const int number = program.standard_files().NumberOf(file);
  if (number >= 0) {
    const int flushed = real_fflush(file);
    return program.CloseStandard(number) == 0 ? flushed : EOF;
  }
  const OpenFiles::Entry entry = program.open_files().Remove(file);
  if (entry.file != nullptr && entry.kind == Kind::kPlain) {
    program.Closed(fileno(file));
    FdTable::Release(fileno(file));
  }
  const int result = real_fclose(file);
  if (entry.memory != nullptr)
    AdoptBlock(*entry.memory, reinterpret_cast<const void*>(program.image().main));
  return result;
}

int PrintTo(int fd, const char* format, va_list arguments) {
  char* text = nullptr;
  const int size = ::vasprintf(&text, format, arguments);
  if (size < 0) return -1;
  int done = 0;
  while (done < size) {
    const ssize_t wrote = ::write(fd, text + done, static_cast<size_t>(size - done));
    if (wrote < 0) break;
    done += static_cast<int>(wrote);
  }
  const int error = errno;
  ::free(text);
  errno = error;
  return done < size ? -1 : size;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API FILE* fopen(const char* path, const char* mode) { return OpenFile(path, mode); }
COGI_API FILE* fopen64(const char* path, const char* mode) { return OpenFile(path, mode); }

COGI_API FILE* freopen(const char* path, const char* mode, FILE* file) {
  Program* program = Program::Current();
  if (program == nullptr) return real_freopen(path, mode, file);
  const int number = program->standard_files().NumberOf(file);
  return number >= 0 ? ReopenStandard(*program, path, mode, file, number)
                     : ReopenOther(*program, path, mode, file);
}

COGI_API FILE* freopen64(const char* path, const char* mode, FILE* file) {
  return freopen(path, mode, file);
}

COGI_API FILE* fdopen(int fd, const char* mode) noexcept {
  Program* program = Program::Current();
  if (program == nullptr) return real_fdopen(fd, mode);
  const Descriptor what = program->Resolve(fd);
  if (what.file == nullptr && what.fd < 0) {
    errno = EBADF;
    return nullptr;
  }
  FILE* file = CookieFile(fd, mode);
  if (file != nullptr) program->open_files().Add({file, Kind::kCookie, nullptr});
  return file;
}

COGI_API int fclose(FILE* file) {
  if (Program* program = Program::Current()) return CloseFile(*program, file);
  return real_fclose(file);
}

COGI_API int fcloseall() {
  Program* program = Program::Current();
  if (program == nullptr) return real_fcloseall();
  program->FlushFiles();
  return 0;  // they are closed at the program's end
}

COGI_API int fflush(FILE* file) {
  Program* program = file == nullptr ? Program::Current() : nullptr;
  if (program == nullptr) return real_fflush(file);
  program->FlushFiles();
  return 0;
}

COGI_API FILE* tmpfile() { return Opened(real_tmpfile()); }
COGI_API FILE* tmpfile64() { return Opened(real_tmpfile()); }

COGI_API FILE* open_memstream(char** memory, size_t* size) noexcept {
  FILE* file = real_open_memstream(memory, size);
  Program* program = Program::Current();
  if (program != nullptr && file != nullptr)
    program->open_files().Add({file, Kind::kMemory, memory});
  return file;
}

COGI_API int vdprintf(int fd, const char* format, va_list arguments) {
  if (Program::Current() != nullptr) return PrintTo(fd, format, arguments);
  return real_vdprintf(fd, format, arguments);
}

COGI_API int dprintf(int fd, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = vdprintf(fd, format, arguments);
  va_end(arguments);
  return result;
}

COGI_API int __vdprintf_chk(int fd, int flag, const char* format, va_list arguments) {
  if (Program::Current() != nullptr) return PrintTo(fd, format, arguments);
  return real_vdprintf_chk(fd, flag, format, arguments);
}

COGI_API int __dprintf_chk(int fd, int flag, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = __vdprintf_chk(fd, flag, format, arguments);
  va_end(arguments);
  return result;
}

// libc's writes to a duplicate of descriptor 2 that it makes itself.
COGI_API void perror(const char* text) {
  if (Program::Current() == nullptr) return real_perror(text);
  const int error = errno;
  const bool prefix = text != nullptr && *text != '\0';
  ::fprintf(stderr, "%s%s%s\n", prefix ? text : "", prefix ? ": " : "", ::strerror(error));
  errno = error;
}

}  // extern "C"
