// pthread_rwlock_*. Readers are not recorded: a coroutine that reads and then wants to write waits
// for itself for ever, as a thread does.
#include <pthread.h>

#include <cerrno>

#include "hooks/lock_owners.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

bool WrittenByThisThread(const pthread_rwlock_t* lock) noexcept {
  return __atomic_load_n(&lock->__data.__cur_writer, __ATOMIC_RELAXED) == ThisThread();
}

bool WrittenBySelf(const pthread_rwlock_t* lock) noexcept {
  if (!WrittenByThisThread(lock)) return false;
  const Owner* owner = OwnerTable::Here().Find(lock);
  return owner != nullptr && owner->coroutine == coroutine::Id(*coroutine::Current());
}

int TryWrite(pthread_rwlock_t* lock) {
  const int result = real::pthread_rwlock_trywrlock(lock);
  if (result != 0) return result;
  OwnerTable& owners = OwnerTable::Here();
  if (owners.Find(lock) != nullptr) owners.Remove(lock);  // destroyed or released behind our back
  owners.Add(lock, coroutine::Id(*coroutine::Current()), LockKind::kWriteLock);
  return 0;
}

int Read(pthread_rwlock_t* lock, AbsoluteTime timeout, Call call) {
  // libc checks the time of a read or write lock first, even if it need not wait.
  if (timeout.time != nullptr && !timeout.Valid()) return EINVAL;
  const int result = real::pthread_rwlock_tryrdlock(lock);
  if (result != EBUSY) [[likely]]
    return result;
  if (WrittenBySelf(lock)) return EDEADLK;
  CallRecord record(call, reinterpret_cast<int64_t>(lock));
  return record.Done(AcquireSlowly(
      lock, [&] { return real::pthread_rwlock_tryrdlock(lock); },
      [&] { return WrittenByThisThread(lock); }, timeout));
}

int Write(pthread_rwlock_t* lock, AbsoluteTime timeout, Call call) {
  if (timeout.time != nullptr && !timeout.Valid()) return EINVAL;
  const int result = TryWrite(lock);
  if (result != EBUSY) [[likely]]
    return result;
  if (WrittenBySelf(lock)) return EDEADLK;
  CallRecord record(call, reinterpret_cast<int64_t>(lock));
  return record.Done(AcquireSlowly(
      lock, [&] { return TryWrite(lock); }, [&] { return WrittenByThisThread(lock); }, timeout));
}

constexpr AbsoluteTime kForEver{CLOCK_MONOTONIC, nullptr};

}  // namespace
}  // namespace cogi::hooks

// Assembler names: see lock_mutex.cpp.
extern "C" {

COGI_API int CogiRdLock(pthread_rwlock_t* lock) __asm__("pthread_rwlock_rdlock");
COGI_API int CogiRdLock2(pthread_rwlock_t* lock) __asm__("__pthread_rwlock_rdlock");
COGI_API int CogiTryRdLock(pthread_rwlock_t* lock) __asm__("pthread_rwlock_tryrdlock");
COGI_API int CogiTryRdLock2(pthread_rwlock_t* lock) __asm__("__pthread_rwlock_tryrdlock");
COGI_API int CogiTimedRdLock(pthread_rwlock_t* lock,
                             const timespec* time) __asm__("pthread_rwlock_timedrdlock");
COGI_API int CogiClockRdLock(pthread_rwlock_t* lock, clockid_t clock,
                             const timespec* time) __asm__("pthread_rwlock_clockrdlock");
COGI_API int CogiWrLock(pthread_rwlock_t* lock) __asm__("pthread_rwlock_wrlock");
COGI_API int CogiWrLock2(pthread_rwlock_t* lock) __asm__("__pthread_rwlock_wrlock");
COGI_API int CogiTryWrLock(pthread_rwlock_t* lock) __asm__("pthread_rwlock_trywrlock");
COGI_API int CogiTryWrLock2(pthread_rwlock_t* lock) __asm__("__pthread_rwlock_trywrlock");
COGI_API int CogiTimedWrLock(pthread_rwlock_t* lock,
                             const timespec* time) __asm__("pthread_rwlock_timedwrlock");
COGI_API int CogiClockWrLock(pthread_rwlock_t* lock, clockid_t clock,
                             const timespec* time) __asm__("pthread_rwlock_clockwrlock");
COGI_API int CogiRwUnlock(pthread_rwlock_t* lock) __asm__("pthread_rwlock_unlock");
COGI_API int CogiRwUnlock2(pthread_rwlock_t* lock) __asm__("__pthread_rwlock_unlock");

int CogiRdLock(pthread_rwlock_t* lock) {
  using namespace cogi::hooks;
  return LockHooked() ? Read(lock, kForEver, Call::pthread_rwlock_rdlock)
                      : real::pthread_rwlock_rdlock(lock);
}
int CogiRdLock2(pthread_rwlock_t* lock) { return CogiRdLock(lock); }

int CogiTryRdLock(pthread_rwlock_t* lock) {
  return cogi::hooks::real::pthread_rwlock_tryrdlock(lock);
}
int CogiTryRdLock2(pthread_rwlock_t* lock) { return CogiTryRdLock(lock); }

int CogiTimedRdLock(pthread_rwlock_t* lock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_rwlock_timedrdlock(lock, time);
  return Read(lock, {CLOCK_REALTIME, time}, Call::pthread_rwlock_timedrdlock);
}

int CogiClockRdLock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_rwlock_clockrdlock(lock, clock, time);
  return Read(lock, {clock, time}, Call::pthread_rwlock_clockrdlock);
}

int CogiWrLock(pthread_rwlock_t* lock) {
  using namespace cogi::hooks;
  return LockHooked() ? Write(lock, kForEver, Call::pthread_rwlock_wrlock)
                      : real::pthread_rwlock_wrlock(lock);
}
int CogiWrLock2(pthread_rwlock_t* lock) { return CogiWrLock(lock); }

int CogiTryWrLock(pthread_rwlock_t* lock) {
  using namespace cogi::hooks;
  return LockHooked() ? TryWrite(lock) : real::pthread_rwlock_trywrlock(lock);
}
int CogiTryWrLock2(pthread_rwlock_t* lock) { return CogiTryWrLock(lock); }

int CogiTimedWrLock(pthread_rwlock_t* lock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_rwlock_timedwrlock(lock, time);
  return Write(lock, {CLOCK_REALTIME, time}, Call::pthread_rwlock_timedwrlock);
}

int CogiClockWrLock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::pthread_rwlock_clockwrlock(lock, clock, time);
  return Write(lock, {clock, time}, Call::pthread_rwlock_clockwrlock);
}

int CogiRwUnlock(pthread_rwlock_t* lock) {
  using namespace cogi::hooks;
  if (LockHooked() && WrittenByThisThread(lock)) OwnerTable::Here().Remove(lock);
  const int result = real::pthread_rwlock_unlock(lock);
  WakeAt(lock, kEveryone);
  return result;
}
int CogiRwUnlock2(pthread_rwlock_t* lock) { return CogiRwUnlock(lock); }
}
