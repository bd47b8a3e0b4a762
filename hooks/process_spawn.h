// Starting processes inside coroutines: fork, vfork, posix_spawn, system, popen, exec.
//
// A child's descriptors 0 to 2 are real and blocking. Where the parent is a program whose standard
// files are virtual (the request's body, the response), they are made real first, for the program
// as well, so that parent and child share them as processes do: the rest of the body goes into a
// file in memory, and what is written to a pipe is carried to the response by a coroutine.
#ifndef COGI_HOOKS_PROCESS_SPAWN_H_
#define COGI_HOOKS_PROCESS_SPAWN_H_

#include <stdio.h>

#include "coroutine/export.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

// FinishChildren() ends what a program's children still hold at its end: waits until everything
// that was written to its standard output and error has been carried over (everyone who has them
// has closed them), or the coroutine is cancelled, and abandons the children themselves. Call it in
// the program's coroutine when its own descriptors are closed and its virtual files still exist.
// Yields if the program has had children.
COGI_API void FinishChildren(ProgramState& program);

class Program;

// ReplaceProgram() is exec(3) of a program in process, which has no process that could become
// another one: `path` is started in its place, with its descriptors, and when it has ended the
// program ends as it did, without its exit handlers. `search`: along PATH, as execvp(3). Returns -1
// with errno if it cannot be started, else not at all. Yields.
int ReplaceProgram(Program& program, const char* path, bool search, char* const* arguments,
                   char* const* environment);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROCESS_SPAWN_H_
