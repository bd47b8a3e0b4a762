// Locks: what one context sees of its own locks, and of those that another thread holds or
// releases. What coroutines of one thread see of each other's is in tests/hooks/lock.
#include <cxxabi.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

timespec FromNow(clockid_t clock, int milliseconds) {
  timespec time{};
  clock_gettime(clock, &time);
  time.tv_nsec += int64_t{milliseconds} * 1'000'000;
  time.tv_sec += time.tv_nsec / 1'000'000'000;
  time.tv_nsec %= 1'000'000'000;
  return time;
}

const timespec kInvalid{0, 1'000'000'000};
const timespec kNegative{-5, 0};

// The results of several calls, one after the other.
Outcome All(std::initializer_list<int> results) {
  std::string detail;
  for (const int result : results) detail += std::to_string(result) + ' ';
  return {0, 0, detail};
}

class Mutex {
 public:
  explicit Mutex(int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~Mutex() { pthread_mutex_destroy(&mutex_); }
  operator pthread_mutex_t*() { return &mutex_; }

 private:
  pthread_mutex_t mutex_;
};

// A mutex or lock that a thread holds for a while. Static: threads have no part in a coroutine's
// stack.
pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t g_rwlock = PTHREAD_RWLOCK_INITIALIZER;
pthread_spinlock_t g_spin;
std::atomic<bool> g_held;

template <class Lock, class Unlock>
void HeldByAThread(Lock lock, Unlock unlock, int milliseconds = 20) {
  g_held = false;
  Later(0, [=] {
    lock();
    g_held = true;
    usleep(static_cast<useconds_t>(milliseconds) * 1000);
    unlock();
  });
  while (!g_held) usleep(100);
}
void MutexHeldByAThread() {
  HeldByAThread([] { pthread_mutex_lock(&g_mutex); }, [] { pthread_mutex_unlock(&g_mutex); });
}
void WriteLockHeldByAThread() {
  HeldByAThread([] { pthread_rwlock_wrlock(&g_rwlock); }, [] { pthread_rwlock_unlock(&g_rwlock); });
}
void ReadLockHeldByAThread() {
  HeldByAThread([] { pthread_rwlock_rdlock(&g_rwlock); }, [] { pthread_rwlock_unlock(&g_rwlock); });
}

TRANSPARENT(pthread_mutex_lock, "each type, twice by the same") {
  Mutex recursive(PTHREAD_MUTEX_RECURSIVE), checked(PTHREAD_MUTEX_ERRORCHECK);
  return All({pthread_mutex_lock(recursive), pthread_mutex_lock(recursive),
              pthread_mutex_unlock(recursive), pthread_mutex_unlock(recursive),
              pthread_mutex_lock(checked), pthread_mutex_lock(checked),
              pthread_mutex_unlock(checked)});
}
TRANSPARENT(pthread_mutex_lock, "a thread holds it") {
  MutexHeldByAThread();
  return All({pthread_mutex_lock(&g_mutex), pthread_mutex_unlock(&g_mutex)});
}
TRANSPARENT(pthread_mutex_trylock, "free, its own, a thread's") {
  Mutex normal(PTHREAD_MUTEX_NORMAL), recursive(PTHREAD_MUTEX_RECURSIVE);
  MutexHeldByAThread();
  const Outcome outcome = All({pthread_mutex_trylock(normal), pthread_mutex_trylock(normal),
                               pthread_mutex_unlock(normal), pthread_mutex_trylock(recursive),
                               pthread_mutex_trylock(recursive), pthread_mutex_unlock(recursive),
                               pthread_mutex_unlock(recursive), pthread_mutex_trylock(&g_mutex)});
  pthread_mutex_lock(&g_mutex);
  pthread_mutex_unlock(&g_mutex);
  return outcome;
}
TRANSPARENT(pthread_mutex_timedlock, "in time, too late, invalid, long past") {
  Mutex own(PTHREAD_MUTEX_NORMAL);
  const timespec soon = FromNow(CLOCK_REALTIME, 5);
  // A free one is taken whatever the time is.
  const int free_one = pthread_mutex_timedlock(own, &kInvalid);
  const int late = pthread_mutex_timedlock(own, &soon),
            invalid = pthread_mutex_timedlock(own, &kInvalid);
  const int past = pthread_mutex_timedlock(own, &kNegative);
  pthread_mutex_unlock(own);
  MutexHeldByAThread();
  const timespec later = FromNow(CLOCK_REALTIME, 5000);
  const int in_time = pthread_mutex_timedlock(&g_mutex, &later);
  return All({free_one, late, invalid, past, in_time, pthread_mutex_unlock(&g_mutex)});
}
TRANSPARENT(pthread_mutex_clocklock, "both clocks, and one that cannot be") {
  Mutex own(PTHREAD_MUTEX_NORMAL);
  pthread_mutex_lock(own);
  const timespec soon = FromNow(CLOCK_MONOTONIC, 5), wall = FromNow(CLOCK_REALTIME, 5);
  return All({pthread_mutex_clocklock(own, CLOCK_MONOTONIC, &soon),
              pthread_mutex_clocklock(own, CLOCK_REALTIME, &wall),
              pthread_mutex_clocklock(own, CLOCK_THREAD_CPUTIME_ID, &soon),
              pthread_mutex_clocklock(own, CLOCK_MONOTONIC, &kInvalid), pthread_mutex_unlock(own)});
}
TRANSPARENT(pthread_mutex_unlock, "one that is not locked, or a thread's") {
  Mutex recursive(PTHREAD_MUTEX_RECURSIVE), checked(PTHREAD_MUTEX_ERRORCHECK);
  static pthread_mutex_t threads = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  HeldByAThread([] { pthread_mutex_lock(&threads); }, [] { pthread_mutex_unlock(&threads); });
  const int not_ours = pthread_mutex_unlock(&threads);
  return All({pthread_mutex_unlock(recursive), pthread_mutex_unlock(checked), not_ours,
              pthread_mutex_lock(&threads), pthread_mutex_unlock(&threads)});
}

TRANSPARENT(pthread_rwlock_rdlock, "shared, after a thread's write, deadlock") {
  pthread_rwlock_t own = PTHREAD_RWLOCK_INITIALIZER;
  WriteLockHeldByAThread();
  return All({pthread_rwlock_rdlock(&g_rwlock), pthread_rwlock_rdlock(&g_rwlock),
              pthread_rwlock_unlock(&g_rwlock), pthread_rwlock_unlock(&g_rwlock),
              pthread_rwlock_wrlock(&own), pthread_rwlock_rdlock(&own),
              pthread_rwlock_unlock(&own)});
}
TRANSPARENT(pthread_rwlock_tryrdlock, "read, written") {
  pthread_rwlock_t own = PTHREAD_RWLOCK_INITIALIZER;
  return All({pthread_rwlock_tryrdlock(&own), pthread_rwlock_tryrdlock(&own),
              pthread_rwlock_unlock(&own), pthread_rwlock_unlock(&own), pthread_rwlock_wrlock(&own),
              pthread_rwlock_tryrdlock(&own), pthread_rwlock_unlock(&own)});
}
TRANSPARENT(pthread_rwlock_timedrdlock, "too late, invalid, in time") {
  WriteLockHeldByAThread();
  const timespec soon = FromNow(CLOCK_REALTIME, 3), later = FromNow(CLOCK_REALTIME, 5000);
  return All({pthread_rwlock_timedrdlock(&g_rwlock, &soon),
              pthread_rwlock_timedrdlock(&g_rwlock, &kInvalid),
              pthread_rwlock_timedrdlock(&g_rwlock, &later), pthread_rwlock_unlock(&g_rwlock)});
}
TRANSPARENT(pthread_rwlock_clockrdlock, "too late, clock that cannot be, in time") {
  WriteLockHeldByAThread();
  const timespec soon = FromNow(CLOCK_MONOTONIC, 3), later = FromNow(CLOCK_MONOTONIC, 5000);
  return All({pthread_rwlock_clockrdlock(&g_rwlock, CLOCK_MONOTONIC, &soon),
              pthread_rwlock_clockrdlock(&g_rwlock, CLOCK_BOOTTIME, &later),
              pthread_rwlock_clockrdlock(&g_rwlock, CLOCK_MONOTONIC, &later),
              pthread_rwlock_unlock(&g_rwlock)});
}
TRANSPARENT(pthread_rwlock_wrlock, "after a thread's read, deadlock") {
  ReadLockHeldByAThread();
  return All({pthread_rwlock_wrlock(&g_rwlock), pthread_rwlock_wrlock(&g_rwlock),
              pthread_rwlock_unlock(&g_rwlock)});
}
TRANSPARENT(pthread_rwlock_trywrlock, "free, read, written") {
  pthread_rwlock_t own = PTHREAD_RWLOCK_INITIALIZER;
  return All({pthread_rwlock_trywrlock(&own), pthread_rwlock_trywrlock(&own),
              pthread_rwlock_unlock(&own), pthread_rwlock_rdlock(&own),
              pthread_rwlock_trywrlock(&own), pthread_rwlock_unlock(&own)});
}
TRANSPARENT(pthread_rwlock_timedwrlock, "too late, invalid, in time") {
  ReadLockHeldByAThread();
  const timespec soon = FromNow(CLOCK_REALTIME, 3), later = FromNow(CLOCK_REALTIME, 5000);
  return All({pthread_rwlock_timedwrlock(&g_rwlock, &soon),
              pthread_rwlock_timedwrlock(&g_rwlock, &kInvalid),
              pthread_rwlock_timedwrlock(&g_rwlock, &later), pthread_rwlock_unlock(&g_rwlock)});
}
TRANSPARENT(pthread_rwlock_clockwrlock, "too late, clock that cannot be, in time") {
  ReadLockHeldByAThread();
  const timespec soon = FromNow(CLOCK_MONOTONIC, 3), later = FromNow(CLOCK_MONOTONIC, 5000);
  return All({pthread_rwlock_clockwrlock(&g_rwlock, CLOCK_MONOTONIC, &soon),
              pthread_rwlock_clockwrlock(&g_rwlock, CLOCK_PROCESS_CPUTIME_ID, &later),
              pthread_rwlock_clockwrlock(&g_rwlock, CLOCK_MONOTONIC, &later),
              pthread_rwlock_unlock(&g_rwlock)});
}
TRANSPARENT(pthread_rwlock_unlock, "of a read and of a write") {
  pthread_rwlock_t own = PTHREAD_RWLOCK_INITIALIZER;
  return All({pthread_rwlock_rdlock(&own), pthread_rwlock_unlock(&own), pthread_rwlock_wrlock(&own),
              pthread_rwlock_unlock(&own), pthread_rwlock_trywrlock(&own),
              pthread_rwlock_unlock(&own)});
}

pthread_cond_t g_condition = PTHREAD_COND_INITIALIZER;
bool g_signalled;

void SignalledByAThread(bool everyone) {
  pthread_mutex_lock(&g_mutex);
  g_signalled = false;
  Later(10, [=] {
    pthread_mutex_lock(&g_mutex);
    g_signalled = true;
    pthread_mutex_unlock(&g_mutex);
    everyone ? pthread_cond_broadcast(&g_condition) : pthread_cond_signal(&g_condition);
  });
}

TRANSPARENT(pthread_cond_wait, "signalled by a thread") {
  SignalledByAThread(false);
  int result = 0;
  while (!g_signalled && result == 0) result = pthread_cond_wait(&g_condition, &g_mutex);
  return All({result, pthread_mutex_unlock(&g_mutex)});
}
TRANSPARENT(pthread_cond_wait, "a mutex that the caller does not hold") {
  Mutex checked(PTHREAD_MUTEX_ERRORCHECK);
  return All({pthread_cond_wait(&g_condition, checked)});
}
TRANSPARENT(pthread_cond_timedwait, "too late, past, invalid, signalled") {
  SignalledByAThread(true);
  const timespec soon = FromNow(CLOCK_REALTIME, 2), later = FromNow(CLOCK_REALTIME, 5000);
  const int late = pthread_cond_timedwait(&g_condition, &g_mutex, &soon);
  const int past = pthread_cond_timedwait(&g_condition, &g_mutex, &kNegative);
  const int invalid = pthread_cond_timedwait(&g_condition, &g_mutex, &kInvalid);
  int result = 0;
  while (!g_signalled && result == 0)
    result = pthread_cond_timedwait(&g_condition, &g_mutex, &later);
  return All({late, past, invalid, result, pthread_mutex_unlock(&g_mutex)});
}
TRANSPARENT(pthread_cond_clockwait, "both clocks, and one that cannot be") {
  pthread_mutex_lock(&g_mutex);
  const timespec soon = FromNow(CLOCK_MONOTONIC, 2), wall = FromNow(CLOCK_REALTIME, 2);
  return All({pthread_cond_clockwait(&g_condition, &g_mutex, CLOCK_MONOTONIC, &soon),
              pthread_cond_clockwait(&g_condition, &g_mutex, CLOCK_REALTIME, &wall),
              pthread_cond_clockwait(&g_condition, &g_mutex, CLOCK_BOOTTIME, &soon),
              pthread_mutex_unlock(&g_mutex)});
}

// A thread waits; the caller wakes it.
template <class Wake>
Outcome WakesAThread(Wake wake) {
  static std::atomic<bool> waiting, woken;
  waiting = woken = false;
  g_signalled = false;
  Later(0, [] {
    pthread_mutex_lock(&g_mutex);
    waiting = true;
    while (!g_signalled) pthread_cond_wait(&g_condition, &g_mutex);
    pthread_mutex_unlock(&g_mutex);
    woken = true;
  });
  while (!waiting) usleep(100);
  pthread_mutex_lock(&g_mutex);
  g_signalled = true;
  pthread_mutex_unlock(&g_mutex);
  const int result = wake();
  for (int i = 0; i < 10'000 && !woken; ++i) usleep(100);
  return All({result, woken});
}
TRANSPARENT(pthread_cond_signal, "wakes a thread") {
  return WakesAThread([] { return pthread_cond_signal(&g_condition); });
}
TRANSPARENT(pthread_cond_broadcast, "wakes a thread") {
  return WakesAThread([] { return pthread_cond_broadcast(&g_condition); });
}

sem_t g_semaphore;

TRANSPARENT(sem_wait, "a count, then posted by a thread") {
  sem_init(&g_semaphore, 0, 1);
  Later(10, [] { sem_post(&g_semaphore); });
  const int first = sem_wait(&g_semaphore), second = sem_wait(&g_semaphore);
  return All({first, second});
}
TRANSPARENT(sem_timedwait, "too late") {
  sem_init(&g_semaphore, 0, 0);
  const timespec soon = FromNow(CLOCK_REALTIME, 5);
  return Result(sem_timedwait(&g_semaphore, &soon));
}
TRANSPARENT(sem_timedwait, "invalid time, although there is a count") {
  sem_init(&g_semaphore, 0, 1);
  return Result(sem_timedwait(&g_semaphore, &kInvalid));
}
TRANSPARENT(sem_timedwait, "posted in time") {
  sem_init(&g_semaphore, 0, 0);
  Later(10, [] { sem_post(&g_semaphore); });
  const timespec later = FromNow(CLOCK_REALTIME, 5000);
  return Result(sem_timedwait(&g_semaphore, &later));
}
TRANSPARENT(sem_clockwait, "too late on the monotonic clock") {
  sem_init(&g_semaphore, 0, 0);
  const timespec soon = FromNow(CLOCK_MONOTONIC, 5);
  return Result(sem_clockwait(&g_semaphore, CLOCK_MONOTONIC, &soon));
}
TRANSPARENT(sem_clockwait, "a clock that cannot be") {
  sem_init(&g_semaphore, 0, 0);
  const timespec soon = FromNow(CLOCK_MONOTONIC, 5);
  return Result(sem_clockwait(&g_semaphore, CLOCK_BOOTTIME, &soon));
}
TRANSPARENT(sem_post, "counts, and overflows") {
  sem_t own, full;
  sem_init(&own, 0, 0);
  sem_init(&full, 0, SEM_VALUE_MAX);
  int value = 0;
  sem_post(&own);
  sem_post(&own);
  sem_getvalue(&own, &value);
  return Result(sem_post(&full), std::to_string(value));
}

int g_once_runs;
TRANSPARENT(pthread_once, "twice") {
  pthread_once_t once = PTHREAD_ONCE_INIT;
  g_once_runs = 0;
  auto routine = [] { ++g_once_runs; };
  return All({pthread_once(&once, routine), pthread_once(&once, routine), g_once_runs});
}
TRANSPARENT(__cxa_guard_acquire, "fresh, then done") {
  __cxxabiv1::__guard guard = 0;
  const int first = abi::__cxa_guard_acquire(&guard);
  abi::__cxa_guard_release(&guard);
  return All({first, abi::__cxa_guard_acquire(&guard)});
}
TRANSPARENT(__cxa_guard_release, "marks it done") {
  __cxxabiv1::__guard guard = 0;
  abi::__cxa_guard_acquire(&guard);
  abi::__cxa_guard_release(&guard);
  return All({static_cast<int>(guard & 0xffff)});
}
TRANSPARENT(__cxa_guard_abort, "lets the next one try") {
  __cxxabiv1::__guard guard = 0;
  abi::__cxa_guard_acquire(&guard);
  abi::__cxa_guard_abort(&guard);
  const int again = abi::__cxa_guard_acquire(&guard);
  abi::__cxa_guard_abort(&guard);
  return All({again});
}

TRANSPARENT(flockfile, "recursive for its owner, seen by a thread") {
  static FILE* file;
  static std::atomic<int> seen;
  file = tmpfile();
  seen = -2;
  flockfile(file);
  flockfile(file);
  funlockfile(file);
  Later(0, [] { seen = ftrylockfile(file) != 0; });
  while (seen == -2) usleep(100);
  funlockfile(file);
  fclose(file);
  return All({seen});
}
TRANSPARENT(ftrylockfile, "free, its own") {
  FILE* file = tmpfile();
  const int first = ftrylockfile(file), second = ftrylockfile(file);
  funlockfile(file);
  funlockfile(file);
  fclose(file);
  return All({first, second});
}
TRANSPARENT(funlockfile, "lets a thread have it") {
  static FILE* file;
  static std::atomic<bool> got;
  file = tmpfile();
  got = false;
  flockfile(file);
  Later(0, [] {
    flockfile(file);
    funlockfile(file);
    got = true;
  });
  usleep(2000);
  const bool before = got;
  funlockfile(file);
  while (!got) usleep(100);
  fclose(file);
  return All({before, got});
}

std::atomic<int> g_word;

TRANSPARENT(pthread_spin_lock, "a thread holds it") {
  pthread_spin_init(&g_spin, PTHREAD_PROCESS_PRIVATE);
  HeldByAThread([] { pthread_spin_lock(&g_spin); }, [] { pthread_spin_unlock(&g_spin); }, 5);
  return All({pthread_spin_lock(&g_spin), pthread_spin_unlock(&g_spin)});
}
TRANSPARENT(pthread_join, "a thread's result; itself") {
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        usleep(5000);
        return &g_word;
      },
      nullptr);
  void* result = nullptr;
  const int joined = pthread_join(thread, &result);
  return All({joined, result == &g_word, pthread_join(pthread_self(), nullptr)});
}
TRANSPARENT(thrd_join, "a thread's result; none wanted; itself") {
  const auto seven = [](void*) {
    usleep(5000);
    return 7;
  };
  thrd_t first, second;
  int result = 0;
  const int created = thrd_create(&first, seven, nullptr) + thrd_create(&second, seven, nullptr);
  const int joined = thrd_join(first, &result);
  return All(
      {created, joined, result, thrd_join(second, nullptr), thrd_join(thrd_current(), nullptr)});
}
TRANSPARENT(sched_yield, "returns") { return Result(sched_yield()); }

long Futex(int operation, int value, const timespec* timeout, int bitset = 0) {
  return syscall(SYS_futex, &g_word, operation, value, timeout, nullptr, bitset);
}
TRANSPARENT(syscall, "futex: another value") {
  g_word = 1;
  return Result(Futex(FUTEX_WAIT_PRIVATE, 0, nullptr));
}
TRANSPARENT(syscall, "futex: times out") {
  g_word = 1;
  const timespec soon{0, 5'000'000};
  return Result(Futex(FUTEX_WAIT_PRIVATE, 1, &soon));
}
TRANSPARENT(syscall, "futex: invalid time") {
  g_word = 1;
  return Result(Futex(FUTEX_WAIT_PRIVATE, 1, &kInvalid));
}
TRANSPARENT(syscall, "futex: negative time") {
  g_word = 1;
  return Result(Futex(FUTEX_WAIT_PRIVATE, 1, &kNegative));
}
TRANSPARENT(syscall, "futex: absolute time") {
  g_word = 1;
  const timespec soon = FromNow(CLOCK_MONOTONIC, 5);
  return Result(Futex(FUTEX_WAIT_BITSET_PRIVATE, 1, &soon, FUTEX_BITSET_MATCH_ANY));
}
TRANSPARENT(syscall, "futex: no bits") {
  return Result(Futex(FUTEX_WAIT_BITSET_PRIVATE, 1, nullptr, 0));
}
TRANSPARENT(syscall, "futex: bad address") {
  return Result(syscall(SYS_futex, 8L, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0));
}
TRANSPARENT(syscall, "futex: woken by a thread") {
  g_word = 0;
  Later(10, [] {
    g_word = 1;
    Futex(FUTEX_WAKE_PRIVATE, 1, nullptr);
  });
  long result = 0;
  while (g_word == 0 && result == 0) result = Futex(FUTEX_WAIT_PRIVATE, 0, nullptr);
  // It may have changed just before the call.
  return All({result == 0 || errno == EAGAIN});
}
TRANSPARENT(syscall, "futex: nobody to wake") {
  return Result(Futex(FUTEX_WAKE_PRIVATE, 10, nullptr));
}
TRANSPARENT(syscall, "other calls") { return Result(syscall(SYS_getpid) == getpid()); }
TRANSPARENT(syscall, "no such call") { return Result(syscall(100'000)); }

// A file with two descriptions.
class File {
 public:
  File() {
    char path[] = "/tmp/cogi-lock-XXXXXX";
    first_ = mkstemp(path);
    second_ = open(path, O_RDWR);
    unlink(path);
  }
  ~File() {
    close(first_);
    close(second_);
  }
  [[nodiscard]] int first() const { return first_; }
  [[nodiscard]] int second() const { return second_; }

 private:
  int first_, second_;
};

TRANSPARENT(flock, "exclusive against another description") {
  File file;
  flock(file.first(), LOCK_EX);
  return Result(flock(file.second(), LOCK_EX | LOCK_NB));
}
TRANSPARENT(flock, "shared, converted, released by a thread") {
  const File file;
  flock(file.first(), LOCK_SH);
  flock(file.second(), LOCK_SH);
  Later(10, [first = file.first()] { flock(first, LOCK_UN); });
  const int result = flock(file.second(), LOCK_EX);
  flock(file.second(), LOCK_UN);
  return Result(result);
}
TRANSPARENT(flock, "bad descriptor") { return Result(flock(-1, LOCK_EX)); }
TRANSPARENT(flock, "bad operation") {
  File file;
  return Result(flock(file.first(), 64));
}
TRANSPARENT(lockf, "its own twice, tested, released") {
  File file;
  const int lock = lockf(file.first(), F_LOCK, 10), again = lockf(file.first(), F_TLOCK, 10);
  return All({lock, again, lockf(file.first(), F_TEST, 10), lockf(file.first(), F_ULOCK, 0)});
}
TRANSPARENT(lockf, "bad command") {
  File file;
  return Result(lockf(file.first(), 99, 0));
}
TRANSPARENT(lockf, "bad descriptor") { return Result(lockf(-1, F_LOCK, 0)); }

}  // namespace
}  // namespace cogi::hooks::transparency
