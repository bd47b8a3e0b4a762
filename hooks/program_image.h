// ProgramImage: a program's module in memory, as the loader (server/program/) found it: where
// main() is, what runs before and after it, and which memory every request has its own contents of.
#ifndef COGI_HOOKS_PROGRAM_IMAGE_H_
#define COGI_HOOKS_PROGRAM_IMAGE_H_

#include <span>

#include "hooks/program_heap.h"
#include "hooks/program_memory.h"

namespace cogi::hooks {

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
  // Static data and the thread_local block of the worker's thread. Taken after relocation, before
  // any constructor.
  SwappedMemory memory;
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_IMAGE_H_
