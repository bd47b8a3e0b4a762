// What a worker does with memory that a burst of requests has left free in malloc: it goes back to
// the kernel when no request is in flight, at most once every ten seconds. A worker that rests has
// then what it needs, whatever it had to do before; no timer is needed for that, and none is set.
//
// Belongs to the scheduler's thread. Never yields.
#ifndef COGI_SERVER_IDLE_MEMORY_H_
#define COGI_SERVER_IDLE_MEMORY_H_

#include "coroutine/deadline.h"

namespace cogi::server {

// GiveBackMemory() is called when the last request in flight has been answered, at `now`. Takes
// about a millisecond for each 16 MiB of heap, once in ten seconds.
void GiveBackMemory(coroutine::Deadline now);

}  // namespace cogi::server

#endif  // COGI_SERVER_IDLE_MEMORY_H_
