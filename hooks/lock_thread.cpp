// Calls that wait for threads: pthread_join, thrd_join, spin locks, sched_yield.
#include <pthread.h>
#include <sched.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>

#include "coroutine/scheduler.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// The end of a thread is announced by the kernel, through no hook.
int Join(pthread_t thread, void** result) {
  CallRecord record(Call::pthread_join, static_cast<int64_t>(thread));
  if (pthread_equal(thread, pthread_self()) != 0) return record.Done(EDEADLK);
  Backoff backoff{std::chrono::milliseconds(32)};
  for (;;) {
    const int outcome = pthread_tryjoin_np(thread, result);
    if (outcome != EBUSY) return record.Done(outcome);
    // An address that nobody wakes: a sleep.
    if (ParkAtUnlessInterrupted(&t_lot, backoff.Next()) == coroutine::WakeReason::kCancelled)
      AfterInterruption();
  }
}

// The holder may be a coroutine of this thread, which has to run for it to be released.
int SpinLock(pthread_spinlock_t* lock) {
  constexpr int kYieldsBeforeSleep = 100;
  for (int i = 0;; ++i) {
    const int result = pthread_spin_trylock(lock);
    if (result != EBUSY) return result;
    if (i < kYieldsBeforeSleep)
      coroutine::Yield();
    else
      ParkAt(&t_lot, coroutine::After(std::chrono::milliseconds(1)));
  }
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiJoin(pthread_t thread, void** result) __asm__("pthread_join");
COGI_API int CogiC11Join(thrd_t thread, int* result) __asm__("thrd_join");
COGI_API int CogiSpinLock(pthread_spinlock_t* lock) __asm__("pthread_spin_lock");
COGI_API int CogiSchedYield() __asm__("sched_yield");

int CogiJoin(pthread_t thread, void** result) {
  using namespace cogi::hooks;
  return LockHooked() ? Join(thread, result) : real::pthread_join(thread, result);
}

int CogiC11Join(thrd_t thread, int* result) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::thrd_join(thread, result);
  void* returned = nullptr;
  if (Join(thread, &returned) != 0) return thrd_error;
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<intptr_t>(returned));
  return thrd_success;
}

int CogiSpinLock(pthread_spinlock_t* lock) {
  using namespace cogi::hooks;
  return LockHooked() ? SpinLock(lock) : real::pthread_spin_lock(lock);
}

int CogiSchedYield() {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::sched_yield();
  cogi::coroutine::Yield();
  return 0;
}
}
