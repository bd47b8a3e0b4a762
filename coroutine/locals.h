// What a coroutine has beyond its control block, once it is used: coroutine-local storage, and
// libco's view of it. Private to coroutine/.
#ifndef COGI_COROUTINE_LOCALS_H_
#define COGI_COROUTINE_LOCALS_H_

#include <cstddef>
#include <vector>

#include "coroutine/control_block.h"

namespace cogi::coroutine {

struct Locals {
  struct Slot {
    void* value = nullptr;
    void (*destroy)(void*) = nullptr;
  };
  std::vector<Slot> slots;  // by key
  void* libco = nullptr;    // its stCoRoutine_t
  void (*free_libco)(void*) = nullptr;

  ~Locals() {
    if (free_libco != nullptr) free_libco(libco);
  }
};

// LocalsOf() makes them if need be. Throws std::bad_alloc.
Locals& LocalsOf(Coroutine& co);

// DestroyLocals() calls the destructors of `co`'s local values, those set meanwhile included. On
// the coroutine that they belong to; they may yield.
void DestroyLocals(Coroutine& co) noexcept;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_LOCALS_H_
