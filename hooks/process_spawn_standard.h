// Making a program's virtual standard files real. See process_spawn.h.
#ifndef COGI_HOOKS_PROCESS_SPAWN_STANDARD_H_
#define COGI_HOOKS_PROCESS_SPAWN_STANDARD_H_

#include "hooks/program_state.h"

namespace cogi::hooks {

// MakeStandardReal() leaves the program with kernel descriptors, or closed ones, as its 0 to 2.
// Returns 0, or an errno (EMFILE, ENOMEM, EIO: the body could not be read). Reads the rest of the
// request's body. Yields.
int MakeStandardReal(ProgramState& program);

// FinishStandard() waits until what was written has been carried over. Yields.
void FinishStandard(ProgramState& program);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROCESS_SPAWN_STANDARD_H_
