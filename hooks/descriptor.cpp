// close(), dup() and their family, fcntl(), ioctl(), pipe(), and what a program may ask about a
// descriptor.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "hooks/blocking.h"
#include "hooks/checked.h"
#include "hooks/descriptors.h"
#include "hooks/file_lock.h"
#include "hooks/lock_parking.h"

namespace cogi::hooks {
namespace {

constexpr int kStandardFds = 3;

void* Argument(long value) { return reinterpret_cast<void*>(value); }

int CloseInside(int fd) {
  ProgramState* program = CurrentProgram();
  if (program != nullptr && fd >= 0 && fd < kStandardFds) return program->CloseStandard(fd);
  if (program != nullptr && program->CloseVirtual(fd)) return 0;
  return OnKernelFd(fd, EBADF, [&](int resolved) {
    FdTable::Release(resolved);
    const int result = real::close(resolved);
    FileLocksChanged();
    if (program != nullptr && resolved >= 0) program->Closed(resolved);
    // The kernel has closed it also when it says EINTR.
    return result != 0 && errno == EINTR ? 0 : result;
  });
}

// Enters a duplicate and, inside a coroutine, gives it to the program that runs there.
// `lowest`: numbers below are not meant.
int Shared(int from, int made, long lowest) {
  if (made < 0) return -1;
  const bool hooked = Hooked();
  if (hooked || FdTable::Find(from) != nullptr)
    FdTable::Share(from, made);
  else
    MadeOutside(made);
  ProgramState* program = hooked ? CurrentProgram() : nullptr;
  if (program == nullptr) return made;
  program->Opened(made);
  return lowest < kStandardFds ? program->Place(made) : made;
}

// F_DUPFD and dup() of a virtual file are the program's own matter.
int DuplicateVirtual(int fd, int lowest) {
  ProgramState* program = CurrentProgram();
  if (program != nullptr) return program->DupVirtual(fd, lowest);
  errno = EBADF;
  return -1;
}

// Replaces `target`, a kernel descriptor, by `from`.
template <class Duplicate>
int Replace(int from, int target, Duplicate duplicate) {
  if (from == target || target < 0 || real::fcntl(from, F_GETFD, nullptr) < 0) return duplicate();
  FdTable::Release(target);
  const int result = duplicate();
  return result < 0 ? -1 : Shared(from, result, target);
}

// A program replaces its own descriptors only, not the worker's that happen to have the number.
bool MayReplace(ProgramState* program, int target) {
  if (program == nullptr || real::fcntl(target, F_GETFD, nullptr) < 0) return true;
  return program->Resolve(target).fd >= 0;
}

template <class Duplicate>
int ReplaceInside(int fd, int target, Duplicate duplicate) {
  ProgramState* program = CurrentProgram();
  if (program != nullptr && target >= 0 && target < kStandardFds) return program->Dup2(fd, target);
  if (!MayReplace(program, target)) {
    errno = EBADF;
    return -1;
  }
  return OnKernelFd(fd, EINVAL, [&](int resolved) {
    return Replace(resolved, target, [&] { return duplicate(resolved); });
  });
}

// The kernel's O_NONBLOCK stays ours; the program's is kept in the table.
int SetFlags(int fd, long flags) {
  Description* description = FdTable::Find(fd);
  if (description == nullptr) return real::fcntl(fd, F_SETFL, Argument(flags));
  const bool nonblocking = (flags & O_NONBLOCK) != 0;
  const long kernel_flags = description->hidden() ? flags | O_NONBLOCK : flags;
  const int result = real::fcntl(fd, F_SETFL, Argument(kernel_flags));
  if (result == 0) description->set_nonblocking(nonblocking);
  return result;
}

int GetFlags(int fd) {
  const int flags = real::fcntl(fd, F_GETFL, nullptr);
  const Description* description = FdTable::Find(fd);
  if (flags < 0 || description == nullptr || !description->hidden()) return flags;
  return description->nonblocking() ? flags : flags & ~O_NONBLOCK;
}

int Control(int fd, int command, void* argument) {
  switch (command) {
    case F_GETFL:
      return GetFlags(fd);
    case F_SETFL:
      return SetFlags(fd, reinterpret_cast<long>(argument));
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return Shared(fd, real::fcntl(fd, command, argument), reinterpret_cast<long>(argument));
    case F_SETLK:
    case F_OFD_SETLK: {
      const int result = real::fcntl(fd, command, argument);
      if (result == 0) FileLocksChanged();
      return result;
    }
    default:
      return real::fcntl(fd, command, argument);
  }
}

// True for a command that neither makes a descriptor nor lets go of a lock, on a descriptor of
// which nothing is known.
bool NothingToNote(int fd, int command) {
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
    case F_SETLK:
    case F_OFD_SETLK:
      return false;
    default:
      return FdTable::Find(fd) == nullptr;
  }
}

// A virtual file is a pipe whose number says which way it goes.
int ControlVirtual(int fd, int command, void* argument) {
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return DuplicateVirtual(fd, static_cast<int>(reinterpret_cast<intptr_t>(argument)));
    case F_GETFL:
      return fd == STDIN_FILENO ? O_RDONLY : O_WRONLY;
    case F_GETFD:
    case F_SETFD:
    case F_SETFL:
      return 0;
    default:
      errno = EINVAL;
      return -1;
  }
}

// The kernel's record locks belong to the process, and all programs in it are one to them. A
// program has those of its open file descriptions instead, which keep others out.
int LockOfProgram(int fd, int command, struct flock* lock) {
  struct flock own = *lock;
  own.l_pid = 0;
  if (command == F_SETLKW) return SetLockWait(fd, F_OFD_SETLKW, &own);
  if (command == F_SETLK) return Control(fd, F_OFD_SETLK, &own);
  const int result = real::fcntl(fd, F_OFD_GETLK, &own);
  if (result == 0) *lock = own;
  return result;
}

bool IsRecordLock(int command) {
  return command == F_SETLKW || command == F_SETLK || command == F_GETLK;
}

int ControlInside(int fd, int command, void* argument, const void* caller) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) return ControlVirtual(fd, command, argument);
  if (IsRecordLock(command) && argument != nullptr && CurrentProgram() != nullptr &&
      !KeepsRecordLocksItself(caller))
    return LockOfProgram(what.fd, command, static_cast<struct flock*>(argument));
  if (command == F_SETFL) {
    // So that a description that is not known yet is not taken for a blocking one later.
    if (FdTable::Get(what.fd) == nullptr) return -1;
  }
  if (command == F_SETLKW || command == F_OFD_SETLKW)
    return SetLockWait(what.fd, command, static_cast<struct flock*>(argument));
  return Control(what.fd, command, argument);
}

int DeviceControl(int fd, unsigned long request, void* argument) {
  Description* description = request == FIONBIO ? FdTable::Get(fd) : nullptr;
  if (description == nullptr || argument == nullptr) return real::ioctl(fd, request, argument);
  const bool nonblocking = *static_cast<int*>(argument) != 0;
  int result = 0;
  if (!description->hidden()) result = real::ioctl(fd, request, argument);
  if (result == 0) description->set_nonblocking(nonblocking);
  return result;
}

NewFd NewPipe(int flags) {
  NewFd made;
  // In packet mode a short read does not mean that the pipe is empty.
  made.kind = (flags & O_DIRECT) != 0 ? FdKind::kPollable : FdKind::kPipe;
  made.nonblocking = (flags & O_NONBLOCK) != 0;
  made.hidden = true;
  return made;
}

int PipeInside(int* ends, int flags) {
  const int result = real::pipe2(ends, flags | O_NONBLOCK);
  for (int i = 0; result == 0 && i < 2; ++i) ends[i] = Made(ends[i], NewPipe(flags));
  return result;
}

int PipeOutside(int result, const int* ends) {
  for (int i = 0; result == 0 && i < 2; ++i) MadeOutside(ends[i]);
  return result;
}

int StatVirtual(struct stat* status) {
  memset(status, 0, sizeof *status);
  status->st_mode = S_IFIFO | 0600;
  status->st_nlink = 1;
  status->st_blksize = 4096;
  return 0;
}

// What a close outside coroutines ends: what the table knows, and the waits of this thread's
// coroutines.
void ForgetOutside(int fd) {
  if (FdTable::Find(fd) != nullptr)
    FdTable::Release(fd);
  else
    coroutine::ForgetFd(fd);
}

// What is left of dup() and fcntl() when there is more to do than the real call. Functions of their
// own, so that the hooks have no frame on their short way: after a system call each instruction and
// jump costs more (kernels clear the predictors).
[[gnu::noinline]] int Duplicate(int fd) noexcept {
  if (!Hooked()) {
    if (FdTable::Find(fd) == nullptr) return MadeOutside(real::dup(fd));
    return Shared(fd, real::dup(fd), 0);
  }
  CallRecord record(Call::dup, fd);
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) return record.Done(DuplicateVirtual(fd, 0));
  return record.Done(Shared(what.fd, real::dup(what.fd), 0));
}

[[gnu::noinline]] int ControlNoting(int fd, int command, void* argument, const void* caller) {
  if (!Hooked()) return Control(fd, command, argument);
  CallRecord record(Call::fcntl, fd);
  return record.Done(ControlInside(fd, command, argument, caller));
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

// A third argument of whatever kind lies where a pointer would (x86-64 and AArch64 alike), and
// these functions cannot end in a jump if they are variadic.
COGI_API int CogiFcntl(int fd, int command, void* argument) __asm__("fcntl");
COGI_API int CogiIoctl(int fd, unsigned long request, void* argument) noexcept __asm__("ioctl");

COGI_API int close(int fd) {
  if (!Hooked()) [[likely]] {
    ForgetOutside(fd);
    if (!AnyoneParkedHere()) [[likely]]
      return real::close(fd);
    const int result = real::close(fd);
    FileLocksChanged();
    return result;
  }
  CallRecord record(Call::close, fd);
  return record.Done(CloseInside(fd));
}
COGI_SAME(int, __close, (int), close);

COGI_API int dup(int fd) noexcept {
  if (!Hooked() && FdTable::KnowsNone()) [[likely]]
    return real::dup(fd);
  return Duplicate(fd);
}

COGI_API int dup2(int fd, int target) noexcept {
  if (!Hooked()) [[likely]]
    return Replace(fd, target, [&] { return real::dup2(fd, target); });
  CallRecord record(Call::dup2, fd);
  return record.Done(
      ReplaceInside(fd, target, [&](int resolved) { return real::dup2(resolved, target); }));
}
COGI_SAME(int, __dup2, (int, int) noexcept, dup2);

COGI_API int dup3(int fd, int target, int flags) noexcept {
  if (!Hooked()) [[likely]]
    return Replace(fd, target, [&] { return real::dup3(fd, target, flags); });
  CallRecord record(Call::dup3, fd);
  if ((flags & ~O_CLOEXEC) != 0 || fd == target) return record.Done(real::dup3(fd, target, flags));
  return record.Done(
      ReplaceInside(fd, target, [&](int resolved) { return real::dup3(resolved, target, flags); }));
}

int CogiFcntl(int fd, int command, void* argument) {
  if (!Hooked() && NothingToNote(fd, command)) [[likely]]
    return real::fcntl(fd, command, argument);
  return ControlNoting(fd, command, argument,
                       __builtin_extract_return_addr(__builtin_return_address(0)));
}
COGI_SAME(int, CogiFcntl64, (int, int, void*)__asm__("fcntl64"), fcntl);
COGI_SAME(int, CogiFcntl2, (int, int, void*)__asm__("__fcntl"), fcntl);

int CogiIoctl(int fd, unsigned long request, void* argument) noexcept {
  if (!Hooked()) [[likely]] {
    if (request != FIONBIO || FdTable::Find(fd) == nullptr)
      return real::ioctl(fd, request, argument);
    return DeviceControl(fd, request, argument);
  }
  CallRecord record(Call::ioctl, fd);
  return record.Done(OnKernelFd(
      fd, ENOTTY, [&](int resolved) { return DeviceControl(resolved, request, argument); }));
}

COGI_API int pipe(int* ends) noexcept {
  if (!Hooked()) [[likely]]
    return PipeOutside(real::pipe(ends), ends);
  CallRecord record(Call::pipe, 0);
  return record.Done(PipeInside(ends, 0));
}
COGI_SAME(int, __pipe, (int*) noexcept, pipe);

COGI_API int pipe2(int* ends, int flags) noexcept {
  if (!Hooked()) [[likely]]
    return PipeOutside(real::pipe2(ends, flags), ends);
  CallRecord record(Call::pipe2, flags);
  return record.Done(PipeInside(ends, flags));
}

COGI_API int fstat(int fd, struct stat* status) noexcept {
  if (!Hooked()) [[likely]]
    return real::fstat(fd, status);
  CallRecord record(Call::fstat, fd);
  const Descriptor what = Resolve(fd);
  return record.Done(what.file != nullptr ? StatVirtual(status) : real::fstat(what.fd, status));
}

COGI_API int __fxstat(int version, int fd, struct stat* status) noexcept {
  if (!Hooked()) [[likely]]
    return real::__fxstat(version, fd, status);
  CallRecord record(Call::__fxstat, fd);
  const Descriptor what = Resolve(fd);
  return record.Done(what.file != nullptr ? StatVirtual(status)
                                          : real::__fxstat(version, what.fd, status));
}

COGI_API off_t lseek(int fd, off_t offset, int whence) noexcept {
  if (!Hooked()) [[likely]]
    return real::lseek(fd, offset, whence);
  CallRecord record(Call::lseek, fd);
  const Descriptor what = Resolve(fd);
  if (what.file == nullptr) return record.Done(real::lseek(what.fd, offset, whence));
  errno = ESPIPE;
  return record.Done(off_t{-1});
}

COGI_API int isatty(int fd) noexcept {
  if (!Hooked()) [[likely]]
    return real::isatty(fd);
  CallRecord record(Call::isatty, fd);
  const Descriptor what = Resolve(fd);
  if (what.file == nullptr) return record.Done(real::isatty(what.fd));
  errno = ENOTTY;
  return record.Done(0);
}

#pragma GCC diagnostic ignored \
    "-Wmissing-attributes"  // __fstat64 is declared with one less than fstat
COGI_SAME(int, fstat64, (int, struct stat64*) noexcept, fstat);
COGI_SAME(int, __fstat64, (int, struct stat64*) noexcept, fstat);
COGI_SAME(int, __fxstat64, (int, int, struct stat64*) noexcept, __fxstat);
COGI_SAME(off64_t, lseek64, (int, off64_t, int) noexcept, lseek);
COGI_SAME(off64_t, __lseek, (int, off64_t, int) noexcept, lseek);

}  // extern "C"
