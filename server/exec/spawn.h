// SpawnProcess(): starts an executable in a process of its own at a price that does not depend on
// the size of the worker: the child shares the worker's memory until it has exec'ed, and of the
// worker's descriptors only the lowest few are ever copied.
//
// Belongs to the scheduler's thread. Never yields; takes as long as an exec.
#ifndef COGI_SERVER_EXEC_SPAWN_H_
#define COGI_SERVER_EXEC_SPAWN_H_

#include <sys/types.h>

#include <cstdint>

#include "server/program/program_handler.h"

namespace cogi::server {

struct SpawnPlan {
  const char* path = nullptr;       // the executable, absolute
  const char* directory = nullptr;  // its working directory
  char** arguments = nullptr;       // ended by null
  char** environment = nullptr;     // ended by null
  int standard[3] = {-1, -1, -1};   // its descriptors 0 to 2, above 3 in the caller; -1: /dev/null
  ResourceLimits limits;            // as far as the hard limits of the server allow
  bool session = false;             // in a session of its own, terminal or not
  int death_signal = 0;             // sent to it when this thread ends; 0: none
};

// SpawnProcess() starts it in a process group of its own and without a controlling terminal, with
// all signals as at boot (but for those that this process has come to ignore after its first start)
// and no other descriptors. Returns 0 with `*pid`, or an errno: of execve(2), chdir(2), or of what
// it takes to get there.
[[nodiscard]] int SpawnProcess(const SpawnPlan& plan, pid_t* pid);

// ReserveSpawnDescriptors() takes the three descriptor numbers through which the standard
// descriptors of children are handed over. Called early in the life of the thread that starts them,
// or of the one that forks it, when low numbers are still free, it makes every later start cheap;
// the first start calls it if nobody has.
void ReserveSpawnDescriptors();

}  // namespace cogi::server

#endif  // COGI_SERVER_EXEC_SPAWN_H_
