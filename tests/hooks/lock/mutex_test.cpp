#include <pthread.h>

#include <cerrno>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "tests/hooks/lock/coroutine_fixture.h"

namespace cogi::tests {
namespace {

class Mutex : public InCoroutines {};
COGI_BOTH_STACK_MODES(Mutex);

timespec FromNow(clockid_t clock, int ms) {
  timespec time{};
  clock_gettime(clock, &time);
  time.tv_nsec += int64_t{ms} * 1'000'000;
  time.tv_sec += time.tv_nsec / 1'000'000'000;
  time.tv_nsec %= 1'000'000'000;
  return time;
}

TEST_P(Mutex, KeepsCoroutinesOfOneThreadApart) {
  std::mutex mutex;
  int inside = 0, entered = 0;
  for (int i = 0; i < 50; ++i) {
    Go([&] {
      for (int round = 0; round < 3; ++round) {
        std::lock_guard lock(mutex);
        EXPECT_EQ(++inside, 1);
        SleepFor(std::chrono::microseconds(100));
        --inside;
        ++entered;
      }
    });
  }
  Run();
  EXPECT_EQ(entered, 150);
}

TEST_P(Mutex, HeldByAnotherThreadDoesNotBlockTheLoop) {
  std::mutex mutex;
  std::atomic<bool> held{false}, released{false};
  std::thread holder([&] {
    std::lock_guard lock(mutex);
    held = true;
    std::this_thread::sleep_for(milliseconds(60));
    released = true;
  });
  while (!held) std::this_thread::yield();
  int ticks = 0;
  bool got = false;
  Go([&] {
    std::lock_guard lock(mutex);
    EXPECT_TRUE(released);
    got = true;
  });
  Go([&] {
    while (!got) {
      SleepFor(milliseconds(1));
      ++ticks;
    }
  });
  Run();
  holder.join();
  EXPECT_GE(ticks, 5);
}

// Many threads with many coroutines each, all on one mutex: nobody is forgotten.
TEST_P(Mutex, IsHandedBetweenCoroutinesOfSeveralThreads) {
  constexpr int kThreads = 4, kCoroutines = 20, kRounds = 50;
  std::mutex mutex;
  int64_t count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      coroutine::Scheduler scheduler;
      for (int i = 0; i < kCoroutines; ++i) {
        scheduler.Spawn(
            [&] {
              for (int round = 0; round < kRounds; ++round) {
                std::lock_guard lock(mutex);
                const int64_t before = count;
                if (round % 10 == 0) coroutine::Yield();
                count = before + 1;
              }
            },
            {.stack_mode = GetParam()});
      }
      scheduler.Run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kCoroutines * kRounds);
}

// What one context sees of a mutex that another one holds: the same whether they are threads or
// coroutines.
std::vector<int> AsSeenByAnother(pthread_mutex_t* mutex) {
  std::vector<int> seen;
  seen.push_back(pthread_mutex_trylock(mutex));
  seen.push_back(pthread_mutex_unlock(mutex));
  timespec soon = FromNow(CLOCK_REALTIME, 10);
  seen.push_back(pthread_mutex_timedlock(mutex, &soon));
  soon = FromNow(CLOCK_MONOTONIC, 10);
  seen.push_back(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &soon));
  const timespec invalid{0, 1'000'000'000};
  seen.push_back(pthread_mutex_timedlock(mutex, &invalid));
  seen.push_back(pthread_mutex_clocklock(mutex, CLOCK_PROCESS_CPUTIME_ID, &soon));
  return seen;
}

std::vector<int> AsSeenByHolder(pthread_mutex_t* mutex) {
  std::vector<int> seen;
  seen.push_back(pthread_mutex_trylock(mutex));
  if (seen.back() == 0) seen.push_back(pthread_mutex_unlock(mutex));
  timespec soon = FromNow(CLOCK_REALTIME, 10);
  seen.push_back(pthread_mutex_timedlock(mutex, &soon));
  if (seen.back() == 0) seen.push_back(pthread_mutex_unlock(mutex));
  return seen;
}

struct Outcome {
  std::vector<int> holder, other, after;
  bool operator==(const Outcome&) const = default;
};

void MakeMutex(pthread_mutex_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

// Runs `holder` and `other` as threads or as coroutines.
template <class RunTwo>
Outcome Scenario(int type, RunTwo run_two) {
  pthread_mutex_t mutex;
  MakeMutex(&mutex, type);
  Outcome outcome;
  std::atomic<bool> held{false}, looked{false};
  run_two(
      [&] {
        outcome.holder.push_back(pthread_mutex_lock(&mutex));
        std::vector<int> more = AsSeenByHolder(&mutex);
        outcome.holder.insert(outcome.holder.end(), more.begin(), more.end());
        held = true;
        while (!looked) sched_yield();
        outcome.holder.push_back(pthread_mutex_unlock(&mutex));
        if (type != PTHREAD_MUTEX_NORMAL) outcome.holder.push_back(pthread_mutex_unlock(&mutex));
        held = false;
      },
      [&] {
        while (!held) sched_yield();
        // Anyone may unlock a normal mutex, so that is left out for it.
        if (type != PTHREAD_MUTEX_NORMAL) outcome.other = AsSeenByAnother(&mutex);
        looked = true;
        while (held) sched_yield();
        outcome.after.push_back(pthread_mutex_lock(&mutex));
        outcome.after.push_back(pthread_mutex_unlock(&mutex));
      });
  pthread_mutex_destroy(&mutex);
  return outcome;
}

TEST_P(Mutex, TellsCoroutinesApartAsItTellsThreads) {
  for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
    const Outcome threads = Scenario(type, [](auto holder, auto other) {
      std::thread first(holder), second(other);
      first.join();
      second.join();
    });
    const Outcome coroutines = Scenario(type, [this](auto holder, auto other) {
      Go(holder);
      Go(other);
      Run();
    });
    EXPECT_EQ(coroutines.holder, threads.holder) << "type " << type;
    EXPECT_EQ(coroutines.other, threads.other) << "type " << type;
    EXPECT_EQ(coroutines.after, threads.after) << "type " << type;
  }
}

TEST_P(Mutex, TimesOutWhileACoroutineHoldsIt) {
  std::timed_mutex mutex;
  Go([&] {
    std::lock_guard lock(mutex);
    SleepFor(milliseconds(80));
  });
  Go([&] {
    EXPECT_FALSE(mutex.try_lock_for(milliseconds(5)));
    EXPECT_TRUE(mutex.try_lock_for(std::chrono::seconds(10)));
    mutex.unlock();
  });
  Run();
}

TEST_P(Mutex, CancelDoesNotEndTheWait) {
  std::mutex mutex;
  coroutine::Coroutine* waiter = nullptr;
  bool locked = false;
  Go([&] {
    std::lock_guard lock(mutex);
    SleepFor(milliseconds(10));
    coroutine::Cancel(*waiter);
    SleepFor(milliseconds(10));
    EXPECT_FALSE(locked);
  });
  Go([&] {
    waiter = coroutine::Current();
    std::lock_guard lock(mutex);
    locked = true;
    EXPECT_TRUE(coroutine::Cancelled(*waiter));
  });
  Run();
  EXPECT_TRUE(locked);
}

TEST_P(Mutex, ReadersShareAndWritersExclude) {
  std::shared_mutex lock;
  int readers = 0, most_readers = 0, writers = 0;
  for (int i = 0; i < 20; ++i) {
    Go([&] {
      std::shared_lock reading(lock);
      EXPECT_EQ(writers, 0);
      most_readers = std::max(most_readers, ++readers);
      SleepFor(milliseconds(1));
      --readers;
    });
    Go([&] {
      std::unique_lock writing(lock);
      EXPECT_EQ(readers, 0);
      EXPECT_EQ(++writers, 1);
      SleepFor(std::chrono::microseconds(200));
      --writers;
    });
  }
  Run();
  EXPECT_GT(most_readers, 1);
}

TEST_P(Mutex, WriteLockIsTheCoroutinesOwn) {
  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  bool looked = false;
  Go([&] {
    EXPECT_EQ(pthread_rwlock_wrlock(&lock), 0);
    EXPECT_EQ(pthread_rwlock_wrlock(&lock), EDEADLK);
    EXPECT_EQ(pthread_rwlock_rdlock(&lock), EDEADLK);
    while (!looked) sched_yield();
    EXPECT_EQ(pthread_rwlock_unlock(&lock), 0);
  });
  Go([&] {
    EXPECT_EQ(pthread_rwlock_trywrlock(&lock), EBUSY);
    EXPECT_EQ(pthread_rwlock_tryrdlock(&lock), EBUSY);
    timespec soon = FromNow(CLOCK_REALTIME, 5);
    EXPECT_EQ(pthread_rwlock_timedwrlock(&lock, &soon), ETIMEDOUT);
    soon = FromNow(CLOCK_REALTIME, 5);
    EXPECT_EQ(pthread_rwlock_timedrdlock(&lock, &soon), ETIMEDOUT);
    const timespec invalid{0, -1};
    EXPECT_EQ(pthread_rwlock_timedrdlock(&lock, &invalid), EINVAL);
    looked = true;
    EXPECT_EQ(pthread_rwlock_wrlock(&lock), 0);
    EXPECT_EQ(pthread_rwlock_unlock(&lock), 0);
  });
  Run();
}

TEST_P(Mutex, SpinLockLetsTheHolderRun) {
  pthread_spinlock_t lock;
  pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
  int entered = 0;
  for (int i = 0; i < 3; ++i) {
    Go([&] {
      pthread_spin_lock(&lock);
      SleepFor(milliseconds(2));
      ++entered;
      pthread_spin_unlock(&lock);
    });
  }
  Run();
  EXPECT_EQ(entered, 3);
  pthread_spin_destroy(&lock);
}

TEST_P(Mutex, JoiningAThreadDoesNotBlockTheLoop) {
  int ticks = 0;
  bool joined = false;
  Go([&] {
    std::thread thread([] { std::this_thread::sleep_for(milliseconds(50)); });
    thread.join();
    joined = true;
  });
  Go([&] {
    for (; !joined; ++ticks) SleepFor(milliseconds(1));
  });
  Run();
  EXPECT_GE(ticks, 5);
}

}  // namespace
}  // namespace cogi::tests
