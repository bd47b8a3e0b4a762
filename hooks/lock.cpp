#include "hooks/lock.h"

#include <stdio.h>

#include "hooks/lock_owners.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

void Release(const Owner& owner) noexcept {
  if (IsProgramKey(owner.lock)) return;  // it goes with the program's static data
  void* lock = const_cast<void*>(owner.lock);
  for (uint32_t i = 0; i < owner.depth; ++i) {
    switch (owner.kind) {
      case LockKind::kMutex:
        real::pthread_mutex_unlock(static_cast<pthread_mutex_t*>(lock));
        break;
      case LockKind::kWriteLock:
        real::pthread_rwlock_unlock(static_cast<pthread_rwlock_t*>(lock));
        break;
      case LockKind::kFile:
        real::funlockfile(static_cast<FILE*>(lock));
        break;
      case LockKind::kOnce:  // the next one who comes starts again, as after an exception
        __atomic_store_n(static_cast<pthread_once_t*>(lock), 0, __ATOMIC_RELEASE);
        break;
      case LockKind::kGuard:
        real::__cxa_guard_abort(static_cast<int64_t*>(lock));
        break;
    }
  }
}

}  // namespace

int ReleaseLocks(const coroutine::Coroutine& coroutine) noexcept {
  ServerScope server;  // what the table has are keys, not addresses of the program that runs now
  ForgetWaiter(coroutine);
  OwnerTable& owners = OwnerTable::Here();
  int released = 0;
  while (const Owner* found = owners.AnyOf(coroutine::Id(coroutine))) {
    const Owner owner = *found;
    Release(owner);
    owners.Remove(owner.lock);
    WakeAt(owner.lock, kEveryone);
    ++released;
  }
  return released;
}

}  // namespace cogi::hooks
