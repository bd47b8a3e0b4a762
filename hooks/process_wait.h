// Waiting for child processes inside coroutines: on pidfds, in the event loop. A program's children
// are its own: its waits see no others, and nobody else's waits see them.
#ifndef COGI_HOOKS_PROCESS_WAIT_H_
#define COGI_HOOKS_PROCESS_WAIT_H_

#include <sys/resource.h>
#include <sys/types.h>

#include "coroutine/export.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

// WaitForChild() is wait4() inside a coroutine. Returns -1 with ECANCELED if it is cancelled.
// Yields.
pid_t WaitForChild(pid_t pid, int* status, int options, rusage* usage);

// RecordChild() enters a child that `owner` (null: no program) has just started.
void RecordChild(pid_t pid, const ProgramState* owner);

// AbandonChildren() ends what is known of a program's children at its end. Those that have ended
// are reaped; those that go on are reaped when they end, by a coroutine of this thread. Never
// yields.
COGI_API void AbandonChildren(const ProgramState& owner);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROCESS_WAIT_H_
