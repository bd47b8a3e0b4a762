// Mutex, condition, semaphore, wait group, channel, select, task, local storage, offload.
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/channel.h"
#include "coroutine/local.h"
#include "coroutine/offload.h"
#include "coroutine/resume.h"
#include "coroutine/sync.h"
#include "coroutine/task.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;
using Primitives = InBothStackModes;
COGI_IN_BOTH_STACK_MODES(Primitives);

TEST_P(Primitives, AMutexGoesToTheLongestWaiter) {
  auto mutex = std::make_unique<Mutex>();
  std::string log;
  for (const char name : {'a', 'b', 'c'}) {
    Go([&log, &mutex = *mutex, name] {
      for (int i = 0; i < 2; ++i) {
        const std::lock_guard<Mutex> lock(mutex);
        log += name;
        SleepFor(1ms);
        log += name;
      }
    });
  }
  scheduler_->Run();
  EXPECT_EQ(log, "aabbccaabbcc");
}

TEST_P(Primitives, ALockCanBeGivenUpOnTimeOrByCancel) {
  Mutex mutex;
  std::vector<WakeReason> reasons;
  Go([&] {
    const std::lock_guard<Mutex> lock(mutex);
    SleepFor(20ms);
  });
  Go([&] { reasons.push_back(mutex.LockUntil(After(1ms))); });
  Coroutine* cancelled = Go([&] { reasons.push_back(mutex.LockUntil(kNoDeadline)); });
  Go([&] {
    SleepFor(5ms);
    Cancel(*cancelled);
  });
  scheduler_->Run();
  EXPECT_EQ(reasons, (std::vector<WakeReason>{WakeReason::kTimeout, WakeReason::kCancelled}));
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_P(Primitives, ALockHandedToADestroyedCoroutineGoesOn) {
  Mutex mutex;
  bool last_had_it = false;
  Coroutine* victim = Create([&] { mutex.lock(); }, Mode());
  Go([&] {
    mutex.lock();
    Resume(*victim);  // waits
    Go([&] {
      const std::lock_guard<Mutex> lock(mutex);
      last_had_it = true;
    });
    Yield();
    mutex.unlock();   // handed to the victim...
    Destroy(victim);  // ...which does not live to use it
  });
  scheduler_->Run();
  EXPECT_TRUE(last_had_it);
}

TEST_P(Primitives, AConditionIsNotifiedOrTimesOutWithTheLockHeld) {
  Mutex mutex;
  ConditionVariable condition;
  bool ready = false;
  Go([&] {
    std::unique_lock<Mutex> lock(mutex);
    EXPECT_EQ(condition.Wait(mutex, After(1ms)), WakeReason::kTimeout);
    while (!ready) EXPECT_EQ(condition.Wait(mutex, After(5s)), WakeReason::kReady);
    EXPECT_FALSE(mutex.try_lock());
  });
  Go([&] {
    SleepFor(5ms);
    const std::lock_guard<Mutex> lock(mutex);
    ready = true;
    condition.NotifyOne();
  });
  scheduler_->Run();
  EXPECT_TRUE(ready);
}

TEST_P(Primitives, ASemaphoreLimitsHowManyAreIn) {
  Semaphore semaphore(3);
  int in = 0, most = 0, through = 0;
  for (int i = 0; i < 20; ++i) {
    Go([&] {
      ASSERT_EQ(semaphore.Acquire(), WakeReason::kReady);
      most = std::max(most, ++in);
      SleepFor(1ms);
      --in;
      ++through;
      semaphore.Release();
    });
  }
  scheduler_->Run();
  EXPECT_EQ(most, 3);
  EXPECT_EQ(through, 20);
  EXPECT_EQ(semaphore.available(), 3u);
}

TEST_P(Primitives, AWaitGroupWaitsForAll) {
  WaitGroup group;
  int done = 0;
  for (int i = 0; i < 10; ++i) {
    group.Add();
    Go([&, i] {
      SleepFor(std::chrono::milliseconds(i % 3));
      ++done;
      group.Done();
    });
  }
  Go([&] {
    EXPECT_EQ(group.Wait(), WakeReason::kReady);
    EXPECT_EQ(done, 10);
  });
  scheduler_->Run();
}

TEST_P(Primitives, AChannelKeepsOrderAndEndsWhenClosed) {
  for (const size_t capacity : {0, 1, 5}) {
    Channel<std::string> channel(capacity);
    std::string got;
    Go([&] {
      for (char c = 'a'; c <= 'z'; ++c)
        EXPECT_EQ(channel.Send(std::string(1, c)), WakeReason::kReady);
      channel.Close();
      EXPECT_EQ(channel.Send("late"), WakeReason::kClosed);
    });
    Go([&] {
      while (auto next = channel.Receive()) got += *next;
    });
    scheduler_->Run();
    EXPECT_EQ(got, "abcdefghijklmnopqrstuvwxyz") << capacity;
  }
}

TEST_P(Primitives, SendAndReceiveTimeOut) {
  Channel<int> channel;
  Go([&] {
    EXPECT_EQ(channel.Send(1, After(1ms)), WakeReason::kTimeout);
    EXPECT_EQ(channel.Receive(After(1ms)), std::nullopt);
  });
  scheduler_->Run();
}

TEST_P(Primitives, SelectTakesWhatIsReadyFirst) {
  Channel<int> numbers;
  Channel<std::string> words(1);
  std::vector<int> chosen;
  Go([&] {
    std::optional<int> number;
    std::optional<std::string> word;
    for (int i = 0; i < 3; ++i)
      chosen.push_back(Select(After(5s), OnReceive(numbers, number), OnReceive(words, word)));
    EXPECT_EQ(number, std::nullopt) << "closed";
    EXPECT_EQ(word, "w");
    chosen.push_back(Select(After(1ms), OnReceive(words, word)));
    chosen.push_back(Select(After(1ms), OnSend(words, "sent")));
  });
  Go([&] {
    SleepFor(1ms);
    EXPECT_EQ(numbers.Send(1), WakeReason::kReady);
    SleepFor(1ms);
    EXPECT_EQ(words.Send("w"), WakeReason::kReady);
    SleepFor(1ms);
    numbers.Close();
  });
  scheduler_->Run();
  EXPECT_EQ(chosen, (std::vector<int>{0, 1, 0, -1, 0}));
}

// Of two who wait in one channel the first is in a Select(), and takes another case.
TEST_P(Primitives, AValueThatASelectWasWokenForAndLeftGoesToTheNext) {
  Channel<int> wanted(1), other(1);
  std::optional<int> from_wanted, from_other, next;
  int chosen = -1;
  Go([&] {
    chosen = Select(After(5s), OnReceive(other, from_other), OnReceive(wanted, from_wanted));
  });
  Go([&] { next = wanted.Receive(After(5s)); });
  Go([&] {
    int one = 1, two = 2;
    EXPECT_TRUE(wanted.TrySend(one));
    EXPECT_TRUE(other.TrySend(two));
  });
  const Deadline soon = After(1s);
  scheduler_->Run();
  EXPECT_EQ(chosen, 0);
  EXPECT_EQ(from_other, 2);
  EXPECT_EQ(next, 1);
  EXPECT_LT(Clock::now(), soon) << "it waited until its time was up";
}

TEST_P(Primitives, RoomThatASelectWasWokenForAndLeftGoesToTheNext) {
  Channel<int> wanted(1), other(1);
  int one = 1, two = 2, chosen = -1;
  ASSERT_TRUE(wanted.TrySend(one));
  ASSERT_TRUE(other.TrySend(two));
  WakeReason next = WakeReason::kTimeout;
  Go([&] { chosen = Select(After(5s), OnSend(other, 4), OnSend(wanted, 3)); });
  Go([&] { next = wanted.Send(5, After(5s)); });
  Go([&] {
    EXPECT_EQ(wanted.Receive(), 1);
    EXPECT_EQ(other.Receive(), 2);
  });
  const Deadline soon = After(1s);
  scheduler_->Run();
  EXPECT_EQ(chosen, 0);
  EXPECT_EQ(next, WakeReason::kReady);
  EXPECT_LT(Clock::now(), soon) << "it waited until its time was up";
}

// What a coroutine was woken for, and then destroyed, goes to the next who waits. `first` and
// `second` wait for the same; `gives` what one of them needs.
void GoesOnFromTheDestroyed(Scheduler& scheduler, const SpawnOptions& mode,
                            const std::function<void()>& first, const std::function<void()>& second,
                            const std::function<void()>& gives) {
  Coroutine* victim = Create(first, mode);
  bool came = false;
  scheduler.Spawn(
      [&] {
        Resume(*victim);
        scheduler.Spawn(
            [&] {
              second();
              came = true;
            },
            mode);
        Yield();
        gives();
        Destroy(victim);
        SleepFor(1ms);
        EXPECT_TRUE(came);
        if (!came) scheduler.Stop();
      },
      mode);
  scheduler.Run();
}

TEST_P(Primitives, AValueForADestroyedReceiverGoesOn) {
  for (const size_t capacity : {0, 1}) {
    Channel<int> channel(capacity);
    const auto receives = [&] { EXPECT_EQ(channel.Receive(), 7); };
    GoesOnFromTheDestroyed(*scheduler_, Mode(), receives, receives,
                           [&] { EXPECT_EQ(channel.Send(7), WakeReason::kReady); });
    std::optional<int> value;
    const auto selects = [&] { EXPECT_EQ(Select(kNoDeadline, OnReceive(channel, value)), 0); };
    GoesOnFromTheDestroyed(*scheduler_, Mode(), selects, receives,
                           [&] { EXPECT_EQ(channel.Send(7), WakeReason::kReady); });
  }
}

TEST_P(Primitives, RoomForADestroyedSenderGoesOn) {
  Channel<int> channel(1);
  int first = 1;
  ASSERT_TRUE(channel.TrySend(first));
  const auto sends = [&] { EXPECT_EQ(channel.Send(2), WakeReason::kReady); };
  GoesOnFromTheDestroyed(*scheduler_, Mode(), sends, sends,
                         [&] { EXPECT_EQ(channel.Receive(), 1); });
}

TEST_P(Primitives, ANotificationOfADestroyedCoroutineGoesOn) {
  Mutex mutex;
  ConditionVariable condition;
  const auto waits = [&] {
    const std::lock_guard<Mutex> lock(mutex);
    EXPECT_EQ(condition.Wait(mutex), WakeReason::kReady);
  };
  GoesOnFromTheDestroyed(*scheduler_, Mode(), waits, waits, [&] { condition.NotifyOne(); });
}

TEST_P(Primitives, OneDestroyedInAConditionsWaitDoesNotTouchTheLockOfAnother) {
  Mutex mutex;
  ConditionVariable condition;
  Coroutine* victim = Create(
      [&] {
        const std::lock_guard<Mutex> lock(mutex);
        condition.Wait(mutex);
      },
      Mode());
  Go([&] {
    Resume(*victim);
    const std::lock_guard<Mutex> lock(mutex);
    Destroy(victim);
    EXPECT_FALSE(mutex.try_lock());
  });
  scheduler_->Run();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST_P(Primitives, ATaskGivesItsResultOrItsException) {
  Go([&] {
    auto number = Start([] {
      SleepFor(1ms);
      return 42;
    });
    auto thrower = Start([]() -> int { throw std::runtime_error("no"); });
    auto nothing = Start([] {});
    EXPECT_EQ(number.Join(), 42);
    EXPECT_THROW((void)thrower.Join(), std::runtime_error);
    nothing.Join();
    auto slow = Start([] { return SleepFor(1h); });
    EXPECT_EQ(slow.JoinUntil(After(1ms)), WakeReason::kTimeout);
    slow.Cancel();
    EXPECT_EQ(slow.Join(), WakeReason::kCancelled);
  });
  scheduler_->Run();
  auto outside = scheduler_ != nullptr ? Start([] { return 7; }) : Start([] { return 0; });
  EXPECT_EQ(outside.Join(), 7);
}

TEST_P(Primitives, LocalsAreTheCoroutinesOwnAndEndWithIt) {
  struct Counted {
    int value = 0;
    std::shared_ptr<int> ends;
    ~Counted() {
      if (ends) ++*ends;
    }
  };
  static CoroutineLocal<Counted> local;
  auto ends = std::make_shared<int>(0);
  for (int i = 1; i <= 5; ++i) {
    Go([i, ends] {
      EXPECT_EQ(local->value, 0);
      local->value = i;
      local->ends = ends;
      Yield();
      EXPECT_EQ(local->value, i);
    });
  }
  scheduler_->Run();
  EXPECT_EQ(*ends, 5);
  EXPECT_EQ(local->value, 0);
}

TEST_P(Primitives, OffloadRunsElsewhereWhileOthersRun) {
  int turns = 0;
  bool through = false;
  const auto here = std::this_thread::get_id();
  Go([&] {
    int local = 5;
    const int result = Offload([&local, here] {
      EXPECT_NE(std::this_thread::get_id(), here);
      EXPECT_EQ(Current(), nullptr);
      std::this_thread::sleep_for(20ms);
      return ++local;
    });
    EXPECT_EQ(result, 6);
    EXPECT_EQ(local, 6);
    EXPECT_THROW(Offload([] { throw std::runtime_error("there"); }), std::runtime_error);
    through = true;
  });
  Go([&] {
    while (!through) {
      KeepsFrame<3000>(1, [] { SleepFor(1ms); });
      ++turns;
    }
  });
  scheduler_->Run();
  EXPECT_TRUE(through);
  EXPECT_GE(turns, 5);
}

// A helper that is idle takes one of them; the others must not wait for it.
TEST_P(Primitives, OffloadOfSeveralRunsThemAtOnce) {
  Go([] { Offload([] {}); });
  scheduler_->Run();
  std::atomic<int> there{0};
  int met = 0;
  for (int i = 0; i < kHelperThreads; ++i) {
    Go([&] {
      met += Offload([&there] {
        ++there;
        for (int tries = 0; tries < 5000 && there < kHelperThreads; ++tries)
          std::this_thread::sleep_for(1ms);
        return there == kHelperThreads;
      });
    });
  }
  scheduler_->Run();
  EXPECT_EQ(met, kHelperThreads);
}

TEST_P(Primitives, DestroyWaitsForTheHelperThatUsesTheStack) {
  std::atomic<bool> ended{false};
  Coroutine* co = Create(
      [&] {
        Offload([&] {
          std::this_thread::sleep_for(20ms);
          ended = true;
        });
      },
      Mode());
  Resume(*co);
  Destroy(co);
  EXPECT_TRUE(ended);
  int turns = 0;
  scheduler_->RunUntil([&] { return ++turns > 1; });
}

TEST(PrimitivesDeathTest, AWaitOnAThreadsOwnStackIsSaid) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto own_stack = "thread's own stack";
  EXPECT_DEATH((void)Channel<int>().Receive(), own_stack);
  EXPECT_DEATH((void)Channel<int>().Send(1), own_stack);
  EXPECT_DEATH((void)Semaphore(0).Acquire(), own_stack);
  EXPECT_DEATH(
      {
        WaitGroup group;
        group.Add();
        group.Wait();
      },
      own_stack);
}

}  // namespace
}  // namespace cogi::coroutine
