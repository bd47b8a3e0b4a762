// What the calls that make or take descriptors share. For the hooks' own files. Nothing here
// yields.
#ifndef COGI_HOOKS_DESCRIPTORS_H_
#define COGI_HOOKS_DESCRIPTORS_H_

#include <cerrno>

#include "hooks/fd_table.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

// Owned() gives a kernel descriptor that has just been made inside a coroutine to the program that
// runs there. Returns the number by which the program knows it; -1 is passed through.
inline int Owned(int fd) noexcept {
  ProgramState* program = CurrentProgram();
  if (program == nullptr || fd < 0) return fd;
  program->Opened(fd);
  return program->Place(fd);
}

// Made() enters a descriptor that a hooked call has just made inside a coroutine, and is Owned().
inline int Made(int fd, const NewFd& what) noexcept {
  if (fd >= 0) FdTable::Adopt(fd, what);
  return Owned(fd);
}

// MadeOutside() forgets what was known of the number of a descriptor that was made outside
// coroutines.
inline int MadeOutside(int fd) noexcept {
  if (fd >= 0 && FdTable::Find(fd) != nullptr) FdTable::Release(fd);
  return fd;
}

// OnKernelFd() resolves `fd` and calls `call` with the kernel's number (-1 gives its EBADF). For a
// virtual file it fails with `virtual_error`.
template <class KernelCall>
[[gnu::always_inline]] inline auto OnKernelFd(int fd, int virtual_error, KernelCall call)
    -> decltype(call(fd)) {
  const Descriptor what = Resolve(fd);
  if (what.file != nullptr) {
    errno = virtual_error;
    return -1;
  }
  return call(what.fd);
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_DESCRIPTORS_H_
