// Helpers for the further names of hooked calls.
#ifndef COGI_HOOKS_CHECKED_H_
#define COGI_HOOKS_CHECKED_H_

#include <cstddef>

#include "coroutine/export.h"

// libc's answer to a buffer that is too small: ends the process with "buffer overflow detected".
extern "C" [[noreturn]] void __chk_fail() noexcept;

// COGI_SAME() exports `name` as another symbol for the hook `target`.
#define COGI_SAME(result, name, parameters, target) \
  COGI_API result name parameters __attribute__((alias(#target)))

namespace cogi::hooks {

// CheckRoom() is the check of the _chk entries of _FORTIFY_SOURCE.
inline void CheckRoom(size_t size, size_t room) {
  if (size > room) [[unlikely]]
    __chk_fail();
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_CHECKED_H_
