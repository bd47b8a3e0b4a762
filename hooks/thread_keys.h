// pthread keys. A program has values of its own for every key, as a process's first thread would:
// OpenSSL keeps its error queue there. Other coroutines use those of their thread.
#ifndef COGI_HOOKS_THREAD_KEYS_H_
#define COGI_HOOKS_THREAD_KEYS_H_

#include "hooks/program_state.h"

namespace cogi::hooks {

// EndKeys() ends the values that `program` has: runs the destructors of libraries' keys (those of
// the program's own keys do not run when a process exits either), and deletes the keys that the
// program's code has made. Call it when the program runs no more, while its image is still there.
// Never yields.
COGI_API void EndKeys(ProgramState& program) noexcept;

// ForgetThreadKeys() takes away the values that the calling thread itself has for its keys, without
// running destructors: for a thread that ends by the kernel's call alone. libc does it for one that
// returns, and gives the next thread the same memory, in which it would find them. Never yields.
void ForgetThreadKeys() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_THREAD_KEYS_H_
