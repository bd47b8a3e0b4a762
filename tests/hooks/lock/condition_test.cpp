#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <future>
#include <latch>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

#include "tests/hooks/lock/coroutine_fixture.h"

namespace cogi::tests {
namespace {

class Condition : public InCoroutines {};
COGI_BOTH_STACK_MODES(Condition);

TEST_P(Condition, IsSignalledByAnotherCoroutine) {
  std::mutex mutex;
  std::condition_variable condition;
  std::deque<int> queue;
  int sum = 0;
  for (int consumer = 0; consumer < 10; ++consumer) {
    Go([&] {
      for (int i = 0; i < 10; ++i) {
        std::unique_lock lock(mutex);
        condition.wait(lock, [&] { return !queue.empty(); });
        sum += queue.front();
        queue.pop_front();
      }
    });
  }
  Go([&] {
    for (int i = 1; i <= 100; ++i) {
      {
        std::lock_guard lock(mutex);
        queue.push_back(i);
      }
      condition.notify_one();
      if (i % 7 == 0) SleepFor(std::chrono::microseconds(50));
    }
  });
  Run();
  EXPECT_EQ(sum, 5050);
}

// Producers and consumers are threads and coroutines of several threads; every item arrives once
// and all end.
TEST_P(Condition, IsSignalledBetweenThreadsAndCoroutines) {
  constexpr int kItems = 2000, kConsumers = 12;
  std::mutex mutex;
  std::condition_variable condition;
  std::deque<int> queue;
  std::atomic<int64_t> sum{0};
  std::atomic<int> ended{0};
  auto consume = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      condition.wait(lock, [&] { return !queue.empty(); });
      const int item = queue.front();
      queue.pop_front();
      lock.unlock();
      if (item < 0) break;
      sum += item;
    }
    ++ended;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      coroutine::Scheduler scheduler;
      for (int k = 0; k < 4; ++k) scheduler.Spawn(consume, {.stack_mode = GetParam()});
      scheduler.Run();
    });
    threads.emplace_back(consume);
  }
  for (int i = 0; i < 2; ++i) Go(consume);
  threads.emplace_back([&] {
    for (int i = 1; i <= kItems + kConsumers; ++i) {
      {
        std::lock_guard lock(mutex);
        queue.push_back(i <= kItems ? i : -1);
      }
      condition.notify_one();
      if (i % 100 == 0) usleep(200);
    }
  });
  Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, kConsumers);
  EXPECT_EQ(sum, int64_t{kItems} * (kItems + 1) / 2);
}

// The second signal comes when the first has woken the other thread's waiter, which has not had its
// turn and still counts as one who waits. It leaves, and its thread has no other.
TEST_P(Condition, SignalForAWaiterThatLeavesReachesThoseOfOtherThreads) {
  std::mutex mutex;
  std::condition_variable condition;
  std::atomic<int> waiting{0}, items{0}, taken{0};
  std::atomic<bool> first{false}, second{false}, done{false};
  const auto take = [&] {
    std::unique_lock lock(mutex);
    ++waiting;
    while (items == 0) condition.wait(lock);
    --items;
    ++taken;
  };
  const auto give = [&] {
    {
      const std::lock_guard lock(mutex);
      ++items;
    }
    condition.notify_one();
  };
  std::thread other([&] {
    while (waiting == 0) usleep(1'000);
    coroutine::Scheduler scheduler;
    coroutine::Coroutine* taker = scheduler.Spawn(take, {.stack_mode = GetParam()});
    scheduler.Spawn(
        [&] {
          while (waiting < 2) coroutine::Yield();
          first = true;
          // Before the other in the queue, so that it finds it woken and not yet run.
          while (coroutine::StateOf(*taker) != coroutine::State::kReady) coroutine::Yield();
          second = true;
          while (!done) {
          }
        },
        {.stack_mode = GetParam()});
    scheduler.Run();
  });
  std::thread giver([&] {
    while (!first) usleep(1'000);
    give();
    while (!second) usleep(1'000);
    give();
    done = true;
  });
  Go(take);
  Run();
  other.join();
  giver.join();
  EXPECT_EQ(taken, 2);
}

TEST_P(Condition, BroadcastWakesEveryone) {
  std::mutex mutex;
  std::condition_variable condition;
  bool go = false;
  int waiting = 0, woken = 0;
  for (int i = 0; i < 100; ++i) {
    Go([&] {
      std::unique_lock lock(mutex);
      ++waiting;
      condition.wait(lock, [&] { return go; });
      ++woken;
    });
  }
  std::thread thread([&] {
    for (;;) {
      usleep(1000);
      std::lock_guard lock(mutex);
      if (waiting == 100) break;
    }
    {
      std::lock_guard lock(mutex);
      go = true;
    }
    condition.notify_all();
  });
  Run();
  thread.join();
  EXPECT_EQ(woken, 100);
}

TEST_P(Condition, TimesOutOnTheClockItWasGiven) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_t monotonic, realtime = PTHREAD_COND_INITIALIZER;
  pthread_cond_init(&monotonic, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  Go([&] {
    pthread_mutex_lock(&mutex);
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    ++time.tv_sec;
    time.tv_sec -= 1;
    time.tv_nsec = std::min(time.tv_nsec + 5'000'000, 999'999'999L);
    EXPECT_EQ(pthread_cond_timedwait(&monotonic, &mutex, &time), ETIMEDOUT);
    EXPECT_EQ(pthread_cond_clockwait(&realtime, &mutex, CLOCK_MONOTONIC, &time), ETIMEDOUT);
    clock_gettime(CLOCK_REALTIME, &time);
    EXPECT_EQ(pthread_cond_timedwait(&realtime, &mutex, &time), ETIMEDOUT);
    time.tv_nsec = 1'000'000'000;
    EXPECT_EQ(pthread_cond_timedwait(&realtime, &mutex, &time), EINVAL);
    EXPECT_EQ(pthread_mutex_trylock(&mutex), EBUSY);  // held again after each
    pthread_mutex_unlock(&mutex);
  });
  Run();
  pthread_cond_destroy(&monotonic);
}

TEST_P(Condition, SemaphoreIsPostedByCoroutineAndThread) {
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  int taken = 0;
  for (int i = 0; i < 40; ++i) {
    Go([&] {
      EXPECT_EQ(sem_wait(&semaphore), 0);
      ++taken;
    });
  }
  Go([&] {
    for (int i = 0; i < 20; ++i) {
      sem_post(&semaphore);
      SleepFor(std::chrono::microseconds(100));
    }
  });
  std::thread thread([&] {
    for (int i = 0; i < 20; ++i) {
      usleep(300);
      sem_post(&semaphore);
    }
  });
  Run();
  thread.join();
  EXPECT_EQ(taken, 40);
  sem_destroy(&semaphore);
}

sem_t* g_semaphore = nullptr;

TEST_P(Condition, SemaphoreIsPostedFromASignalHandler) {
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  g_semaphore = &semaphore;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { sem_post(g_semaphore); };
  sigaction(SIGUSR2, &action, &before);
  bool taken = false;
  Go([&] {
    EXPECT_EQ(sem_wait(&semaphore), 0);
    taken = true;
  });
  Go([&] {
    SleepFor(milliseconds(5));
    EXPECT_FALSE(taken);
    kill(getpid(), SIGUSR2);
  });
  Run();
  EXPECT_TRUE(taken);
  sigaction(SIGUSR2, &before, nullptr);
  sem_destroy(&semaphore);
}

TEST_P(Condition, SemaphoreTimesOutAndRefusesInvalidTimes) {
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  Go([&] {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    EXPECT_EQ(sem_timedwait(&semaphore, &time), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
    time.tv_nsec = -1;
    EXPECT_EQ(sem_timedwait(&semaphore, &time), -1);
    EXPECT_EQ(errno, EINVAL);
    errno = 0;
    sem_post(&semaphore);
    EXPECT_EQ(sem_wait(&semaphore), 0);
    EXPECT_EQ(errno, 0);
  });
  Go([&] {
    coroutine::Cancel(*coroutine::Current());
    EXPECT_EQ(sem_wait(&semaphore), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  Run();
  sem_destroy(&semaphore);
}

TEST_P(Condition, RawFutexesOfTheStandardLibraryPark) {
  std::atomic<int> word{0};
  std::latch latch(3);
  std::counting_semaphore<> semaphore(0);
  std::promise<int> promise;
  std::future<int> future = promise.get_future();
  std::atomic<bool> timed_out{false};
  int ended = 0;
  Go([&] {
    word.wait(0);
    EXPECT_EQ(word, 1);
    ++ended;
  });
  Go([&] {
    latch.arrive_and_wait();
    ++ended;
  });
  Go([&] {
    semaphore.acquire();
    EXPECT_FALSE(semaphore.try_acquire_for(milliseconds(5)));
    ++ended;
  });
  Go([&] {
    EXPECT_EQ(future.wait_for(milliseconds(1)), std::future_status::timeout);
    timed_out = true;
    EXPECT_EQ(future.get(), 42);
    ++ended;
  });
  Go([&] {
    SleepFor(milliseconds(3));
    word = 1;
    word.notify_all();
    latch.count_down();
    SleepFor(milliseconds(3));
    semaphore.release();
  });
  std::thread thread([&] {
    usleep(8000);
    latch.count_down();
    while (!timed_out) usleep(1000);
    promise.set_value(42);
  });
  Run();
  thread.join();
  EXPECT_EQ(ended, 4);
}

}  // namespace
}  // namespace cogi::tests
