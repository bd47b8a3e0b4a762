// ProgramImage: a program's module in memory, as the loader (server/program/) found it: where
// main() is, what runs before and after it, and which memory every request has its own contents of.
#ifndef COGI_HOOKS_PROGRAM_IMAGE_H_
#define COGI_HOOKS_PROGRAM_IMAGE_H_

#include <span>

#include "hooks/program_heap.h"
#include "hooks/program_memory.h"

namespace cogi::hooks {

// What libfcgi keeps behind FCGI_stdin, FCGI_stdout and FCGI_stderr: two pointers each.
struct FcgiStdio {
  void* files[3][2];
};

struct ProgramImage {
  using Main = int (*)(int argc, char** argv, char** environment);
  using Initializer = void (*)(int argc, char** argv, char** environment);
  using Finalizer = void (*)();

  Main main = nullptr;
  Initializer init = nullptr;  // DT_INIT, may be null
  std::span<const Initializer> init_array;
  std::span<const Finalizer> fini_array;
  Finalizer fini = nullptr;  // DT_FINI, may be null

  AddressRange addresses;  // the whole mapping: its code, and the __dso_handle of its exit handlers
  bool uses_libstdcxx = false;
  // Its own code starts threads. They may have addresses of its locals: give it a private stack.
  bool uses_threads = false;
  bool libraries_use_threads = false;  // the same of libraries that it brings along
  bool uses_libfcgi = false;           // it has an accept loop
  FcgiStdio* fcgi_stdio = nullptr;  // libfcgi's, if the program may use it: swapped as its data is
  // Static data and the thread_local block of the worker's thread. Taken after relocation, before
  // any constructor.
  SwappedMemory memory;
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_IMAGE_H_
