// ProgramState: what a coroutine that runs a program (an unmodified main()) has of its own where a
// process would have it: environ, descriptors 0 to 2, stdio, heap, exit handlers, and the rest of
// "process state". The hooks ask it what a descriptor means before they act. Coroutines that run no
// program have none and pay one null check.
#ifndef COGI_HOOKS_PROGRAM_STATE_H_
#define COGI_HOOKS_PROGRAM_STATE_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "coroutine/running.h"

namespace cogi::hooks {

// VirtualFile is a descriptor of a program that is no kernel object: its stdin is the request's
// body, its stdout the response. Same contract as readv(2), writev(2). May yield.
class VirtualFile {
 public:
  virtual ~VirtualFile() = default;
  virtual ssize_t Readv(const iovec* pieces, int count) = 0;
  virtual ssize_t Writev(const iovec* pieces, int count) = 0;
};

struct KeyValues;

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

  // The rest has defaults, for states that do not need it.

  // DupVirtual() is dup() and F_DUPFD (from `lowest` on) of a descriptor that is a virtual file.
  // Returns the new number, or -1 with errno.
  virtual int DupVirtual(int fd, [[maybe_unused]] int lowest) noexcept {
    static_cast<void>(fd);
    errno = EBADF;
    return -1;
  }
  // CloseVirtual() closes a number above 2 that DupVirtual() gave. False: it is none.
  virtual bool CloseVirtual(int fd) noexcept {
    static_cast<void>(fd);
    return false;
  }
  // Place() gives a descriptor that was just opened the number that a process would have given it:
  // the lowest free one, if the program has closed 0, 1 or 2. Call it after Opened(), and hand out
  // what it returns.
  virtual int Place(int fd) noexcept { return fd; }
  // EnteredChild() is called in the child of a fork: from there on the program is the process,
  // whose end is its own.
  virtual void EnteredChild() noexcept {}
  // OwnsAddress() tells whether `address` lies in static data of which each program has its own:
  // two programs' locks there are two locks although their address is one. The key of such a lock
  // is (this, address).
  virtual bool OwnsAddress(const void* address) noexcept {
    static_cast<void>(address);
    return false;
  }

  // The program's values of pthread keys, kept by thread_keys.cpp. EndKeys() empties them.
  KeyValues* key_values = nullptr;
  bool made_keys = false;
};

// ServerScope marks code of the server that runs inside a program's coroutine, such as the body of
// a virtual file: CurrentProgram() is null meanwhile, so descriptors mean the kernel's, and what is
// allocated is not the program's. Use it wherever a hook calls code that allocates through
// libstdc++ (std::string and the like) what outlives the call.
class COGI_API ServerScope {
 public:
  ServerScope() noexcept;
  ~ServerScope();
  ServerScope(const ServerScope&) = delete;
  ServerScope& operator=(const ServerScope&) = delete;

 private:
  ProgramState* state_;
  bool tracking_ = false;
};

// CurrentProgram() is the program that the calling coroutine runs, or null.
[[nodiscard]] inline ProgramState* CurrentProgram() noexcept {
  return static_cast<ProgramState*>(coroutine::RunningSlot());
}

// t_interrupted is set while a program runs that has been interrupted while it waited: by a signal
// of its own, or by the cancel of its coroutine. Every hooked call asks at its end, when it holds
// nothing any more, and calls AfterInterruption(), which may not return.
extern constinit thread_local bool t_interrupted __attribute__((tls_model("initial-exec")));
void AfterInterruption() noexcept;

// Resolve() is the first step of every hooked call that takes a descriptor.
[[nodiscard]] inline Descriptor Resolve(int fd) noexcept {
  ProgramState* program = CurrentProgram();
  return program == nullptr ? Descriptor{fd, nullptr} : program->Resolve(fd);
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_STATE_H_
