#include "hooks/real.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iterator>

namespace cogi::hooks::real {

void* LookUp(const char* name) {
  // Not in tail position: the dynamic linker takes the return address for the caller's object.
  void* function = dlsym(RTLD_NEXT, name);
  if (function == nullptr) {
    const char* pieces[] = {"cogi: libc has no function ", name,
                            "; libcogi.so must stand before libc on the link line\n"};
    for (const char* piece : pieces) {
      if (::write(STDERR_FILENO, piece, strlen(piece)) < 0) break;
    }
    abort();
  }
  return function;
}

#define COGI_CALL(name, signature, family, rule) constinit RealCall<signature> name{#name};
#include "hooks/calls.def"

namespace {

// All are found before main(), when no other thread and no coroutine runs.
__attribute__((constructor(101))) void ResolveAll() {
#define COGI_CALL(name, signature, family, rule) name.Resolve();
#include "hooks/calls.def"
}

}  // namespace
}  // namespace cogi::hooks::real
