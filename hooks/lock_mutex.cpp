// pthread_mutex_*.
#include <pthread.h>

#include <cerrno>

#include "hooks/lock.h"
#include "hooks/lock_owners.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

using coroutine::Coroutine;

// The low bits of libc's kind (PTHREAD_MUTEX_NORMAL and so on); above them are flags such as robust
// and shared.
constexpr int kTypeMask = 3;

int TypeOf(const pthread_mutex_t* mutex) noexcept {
  return __atomic_load_n(&mutex->__data.__kind, __ATOMIC_RELAXED) & kTypeMask;
}

// True if this thread holds it, so that a release is bound to pass through our unlock here. libc
// records the thread for every type of mutex.
bool HeldByThisThread(const pthread_mutex_t* mutex) noexcept {
  return __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED) == ThisThread();
}

// Whether the owning coroutine matters: for the types that know their owner, and for programs,
// whose locks are released when they are killed.
bool Tracked(const pthread_mutex_t* mutex, const Coroutine& self) noexcept {
  const int type = TypeOf(mutex);
  return type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK ||
         coroutine::ProgramSlot(self) != nullptr;
}

int TryLockTracked(pthread_mutex_t* mutex, const Coroutine& self) {
  OwnerTable& owners = OwnerTable::Here();
  Owner* owner = owners.Find(mutex);
  const bool mine = owner != nullptr && owner->coroutine == coroutine::Id(self);
  if (mine && TypeOf(mutex) == PTHREAD_MUTEX_RECURSIVE) {
    const int result = real::pthread_mutex_trylock(mutex);
    if (result == 0) ++owner->depth;
    return result;
  }
  // The real call would grant a recursive mutex to every coroutine of the thread.
  if (HeldByThisThread(mutex)) return EBUSY;
  if (owner != nullptr) owners.Remove(mutex);  // destroyed or released behind our back
  const int result = real::pthread_mutex_trylock(mutex);
  if (result == 0 || result == EOWNERDEAD) owners.Add(mutex, coroutine::Id(self), LockKind::kMutex);
  return result;
}

int TryLockInCoroutine(pthread_mutex_t* mutex, const Coroutine& self) {
  return Tracked(mutex, self) ? TryLockTracked(mutex, self) : real::pthread_mutex_trylock(mutex);
}

bool DeadlocksItself(pthread_mutex_t* mutex, const Coroutine& self) noexcept {
  if (TypeOf(mutex) != PTHREAD_MUTEX_ERRORCHECK || !HeldByThisThread(mutex)) return false;
  const Owner* owner = OwnerTable::Here().Find(mutex);
  return owner != nullptr && owner->coroutine == coroutine::Id(self);
}

int LockUntil(pthread_mutex_t* mutex, AbsoluteTime timeout, Call call) {
  const Coroutine& self = *coroutine::Current();
  const int result = TryLockInCoroutine(mutex, self);
  if (result != EBUSY) [[likely]]
    return result;
  if (DeadlocksItself(mutex, self)) return EDEADLK;
  CallRecord record(call, reinterpret_cast<int64_t>(mutex));
  return record.Done(AcquireSlowly(
      mutex, [&] { return TryLockInCoroutine(mutex, self); },
      [&] { return HeldByThisThread(mutex); }, timeout));
}

constexpr AbsoluteTime kForEver{CLOCK_MONOTONIC, nullptr};

}  // namespace

int LockMutex(pthread_mutex_t* mutex) {
  return LockUntil(mutex, kForEver, Call::pthread_mutex_lock);
}

int UnlockMutex(pthread_mutex_t* mutex) {
  const Coroutine& self = *coroutine::Current();
  if (!Tracked(mutex, self)) {
    const int result = real::pthread_mutex_unlock(mutex);
    WakeAt(mutex);
    return result;
  }
  OwnerTable& owners = OwnerTable::Here();
  Owner* owner = owners.Find(mutex);
  const bool mine = owner != nullptr && owner->coroutine == coroutine::Id(self);
  // A normal mutex may be released by anyone; POSIX leaves open what happens, and libc lets it.
  if (!mine && TypeOf(mutex) != PTHREAD_MUTEX_NORMAL && HeldByThisThread(mutex)) return EPERM;
  const int result = real::pthread_mutex_unlock(mutex);
  if (result != 0) return result;
  if (owner != nullptr && --owner->depth == 0) owners.Remove(mutex);
  WakeAt(mutex);
  return 0;
}

}  // namespace cogi::hooks

// The definitions carry libc's names as assembler names: its declarations are noexcept, which ours
// must not be, because a coroutine that is parked here may be unwound.
extern "C" {

COGI_API int CogiMutexLock(pthread_mutex_t* mutex) __asm__("pthread_mutex_lock");
COGI_API int CogiMutexLock2(pthread_mutex_t* mutex) __asm__("__pthread_mutex_lock");
COGI_API int CogiMutexTryLock(pthread_mutex_t* mutex) __asm__("pthread_mutex_trylock");
COGI_API int CogiMutexTryLock2(pthread_mutex_t* mutex) __asm__("__pthread_mutex_trylock");
COGI_API int CogiMutexTimedLock(pthread_mutex_t* mutex,
                                const timespec* time) __asm__("pthread_mutex_timedlock");
COGI_API int CogiMutexClockLock(pthread_mutex_t* mutex, clockid_t clock,
                                const timespec* time) __asm__("pthread_mutex_clocklock");
COGI_API int CogiMutexUnlock(pthread_mutex_t* mutex) __asm__("pthread_mutex_unlock");
COGI_API int CogiMutexUnlock2(pthread_mutex_t* mutex) __asm__("__pthread_mutex_unlock");

int CogiMutexLock(pthread_mutex_t* mutex) {
  using namespace cogi::hooks;
  return LockHooked() ? LockMutex(mutex) : real::pthread_mutex_lock(mutex);
}
int CogiMutexLock2(pthread_mutex_t* mutex) { return CogiMutexLock(mutex); }

int CogiMutexTryLock(pthread_mutex_t* mutex) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_mutex_trylock(mutex);
  return TryLockInCoroutine(mutex, *cogi::coroutine::Current());
}
int CogiMutexTryLock2(pthread_mutex_t* mutex) { return CogiMutexTryLock(mutex); }

int CogiMutexTimedLock(pthread_mutex_t* mutex, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_mutex_timedlock(mutex, time);
  return LockUntil(mutex, {CLOCK_REALTIME, time}, Call::pthread_mutex_timedlock);
}

int CogiMutexClockLock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_mutex_clocklock(mutex, clock, time);
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  return LockUntil(mutex, {clock, time}, Call::pthread_mutex_clocklock);
}

int CogiMutexUnlock(pthread_mutex_t* mutex) {
  using namespace cogi::hooks;
  if (LockHooked()) return UnlockMutex(mutex);
  const int result = real::pthread_mutex_unlock(mutex);
  WakeAt(mutex);
  return result;
}
int CogiMutexUnlock2(pthread_mutex_t* mutex) { return CogiMutexUnlock(mutex); }
}
