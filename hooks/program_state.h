// ProgramState: what a coroutine that runs a program (an unmodified main()) has of its own where a
// process would have it: environ, descriptors 0 to 2, stdio, heap, exit handlers, and the rest of
// "process state". The hooks ask it what a descriptor means before they act. Coroutines that run no
// program have none and pay one null check.
#ifndef COGI_HOOKS_PROGRAM_STATE_H_
#define COGI_HOOKS_PROGRAM_STATE_H_

#include <sys/types.h>
#include <sys/uio.h>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"

namespace cogi::hooks {

// VirtualFile is a descriptor of a program that is no kernel object: its stdin is the request's
// body, its stdout the response. Same contract as readv(2), writev(2). May yield.
class VirtualFile {
 public:
  virtual ~VirtualFile() = default;
  virtual ssize_t Readv(const iovec* pieces, int count) = 0;
  virtual ssize_t Writev(const iovec* pieces, int count) = 0;
};

// What a descriptor number means for the caller: a kernel descriptor, or a virtual file, or neither
// (fd -1, file null: the call must fail with EBADF).
struct Descriptor {
  int fd;
  VirtualFile* file;
};

class ProgramState {
 public:
  virtual ~ProgramState() = default;
  // Resolve() tells what `fd` means to this program.
  [[nodiscard]] virtual Descriptor Resolve(int fd) noexcept = 0;
  // Opened(), Closed() keep the record of which kernel descriptors the program owns.
  virtual void Opened(int fd) noexcept = 0;
  virtual void Closed(int fd) noexcept = 0;
  // Dup2() makes `target` (0 to 2) mean what `fd` means, for this program only. Returns target, or
  // -1 with errno.
  virtual int Dup2(int fd, int target) noexcept = 0;
  // CloseStandard() closes 0, 1 or 2 for this program only. Returns 0, or -1 with EBADF.
  virtual int CloseStandard(int fd) noexcept = 0;
};

// CurrentProgram() is the program that the calling coroutine runs, or null.
[[nodiscard]] inline ProgramState* CurrentProgram() noexcept {
  coroutine::Coroutine* self = coroutine::Current();
  return self == nullptr ? nullptr : static_cast<ProgramState*>(coroutine::ProgramSlot(*self));
}

// Resolve() is the first step of every hooked call that takes a descriptor.
[[nodiscard]] inline Descriptor Resolve(int fd) noexcept {
  ProgramState* program = CurrentProgram();
  return program == nullptr ? Descriptor{fd, nullptr} : program->Resolve(fd);
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_STATE_H_
