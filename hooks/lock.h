// The lock hooks, for the rest of the library: what a coroutine holds, and how to let go of it when
// it is abandoned.
//
// Every lock stays libc's: the real pthread_mutex_t is taken and released by the real calls, so
// threads and libc itself see it as ever. Added is who of this thread's coroutines owns it (libc
// knows threads only) and where the others park meanwhile. All calls concern the calling thread.
#ifndef COGI_HOOKS_LOCK_H_
#define COGI_HOOKS_LOCK_H_

#include <pthread.h>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"

namespace cogi::hooks {

// ReleaseLocks() releases every lock that `coroutine`, which will never run again, holds as far as
// that is known, and forgets what it waits for. Known are recursive and errorcheck mutexes, write
// locks and FILE locks; of coroutines that run a program normal mutexes too. Not known, so not
// released: read locks. Returns how many were released; the data behind them may be half changed.
// Never yields.
COGI_API int ReleaseLocks(const coroutine::Coroutine& coroutine) noexcept;

// LockMutex(), UnlockMutex() are what pthread_mutex_lock() and pthread_mutex_unlock() do inside a
// coroutine.
int LockMutex(pthread_mutex_t* mutex);
int UnlockMutex(pthread_mutex_t* mutex);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_LOCK_H_
