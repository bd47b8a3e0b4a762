// The scheduler: order, fairness, time, cancel, pins, other threads, fork.
#include "coroutine/scheduler.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "coroutine/resume.h"
#include "coroutine/sanitizers.h"
#include "coroutine/stack.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;
using Scheduling = InBothStackModes;
COGI_IN_BOTH_STACK_MODES(Scheduling);

TEST_P(Scheduling, RunsInTheOrderOfSpawningAndYieldsToAllOthers) {
  std::string log;
  for (const char name : {'a', 'b', 'c'}) {
    Go([&log, name] {
      for (int i = 0; i < 3; ++i) {
        log += name;
        Yield();
      }
    });
  }
  scheduler_->Run();
  EXPECT_EQ(log, "abcabcabc");
}

TEST_P(Scheduling, KeepsTheFramesOfAThousandCoroutines) {
  int kept = 0;
  for (unsigned i = 0; i < 1000; ++i) {
    Go([&kept, i] {
      const bool ok = KeepsFrame<200>(i, [i] {
        for (unsigned turn = 0; turn < 1 + i % 5; ++turn) Yield();
        KeepsFrame<3000>(i, [] { SleepFor(1ms); });
      });
      if (ok) ++kept;
    });
  }
  scheduler_->Run();
  EXPECT_EQ(kept, 1000);
}

TEST_P(Scheduling, WakesSleepersInTheOrderOfTheirDeadlinesAndNeverEarly) {
  std::vector<int> order;
  const Deadline start = Clock::now();
  for (const int ms : {30, 10, 20, 0, 25, 5}) {
    Go([&order, start, ms] {
      EXPECT_EQ(SleepUntil(start + std::chrono::milliseconds(ms)), WakeReason::kTimeout);
      EXPECT_GE(Clock::now(), start + std::chrono::milliseconds(ms));
      order.push_back(ms);
    });
  }
  scheduler_->Run();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), 6u);
}

TEST_P(Scheduling, SleepsWithoutWakeUps) {
  Go([] { SleepFor(300ms); });
  rusage before{}, after{};
  getrusage(RUSAGE_THREAD, &before);
  scheduler_->Run();
  getrusage(RUSAGE_THREAD, &after);
  EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 2);
  EXPECT_LE(scheduler_->stats().epoll_waits, 4u);
}

TEST_P(Scheduling, CancelWakesAParkedOneAndStaysUntilCleared) {
  std::vector<WakeReason> reasons;
  Coroutine* sleeper = Go([&] {
    reasons.push_back(SleepFor(1h));
    reasons.push_back(SleepFor(1h));
    ClearCancel(*Current());
    reasons.push_back(SleepFor(1ms));
  });
  Go([sleeper] { Cancel(*sleeper); });
  scheduler_->Run();
  EXPECT_EQ(reasons, (std::vector<WakeReason>{WakeReason::kCancelled, WakeReason::kCancelled,
                                              WakeReason::kTimeout}));
}

TEST_P(Scheduling, WaitListsAreFirstInFirstOut) {
  WaitList list;
  std::vector<int> woken;
  for (int i = 0; i < 4; ++i) {
    Go([&, i] {
      list.Add(WaitNodeOf(*Current()));
      if (Park(WaitKind::kLock, 0) == WakeReason::kReady) woken.push_back(i);
    });
  }
  Go([&] {
    EXPECT_TRUE(list.WakeOne());
    Yield();
    EXPECT_EQ(list.WakeAll(), 3u);
    EXPECT_FALSE(list.WakeOne());
  });
  scheduler_->Run();
  EXPECT_EQ(woken, (std::vector<int>{0, 1, 2, 3}));
}

TEST_P(Scheduling, ATimeoutTakesTheWaiterOutOfItsList) {
  WaitList list;
  Go([&] {
    list.Add(WaitNodeOf(*Current()));
    EXPECT_EQ(Park(WaitKind::kLock, 0, After(1ms)), WakeReason::kTimeout);
    EXPECT_TRUE(list.empty());
  });
  scheduler_->Run();
}

TEST_P(Scheduling, ACallBudgetLetsTheOthersRun) {
  bool other_ran = false;
  int calls = 0;
  Go([&] {
    while (!other_ran && ++calls < 100000) ChargeCall();
  });
  Go([&] { other_ran = true; });
  scheduler_->Run();
  EXPECT_TRUE(other_ran);
  EXPECT_LE(calls, 100);
}

TEST_P(Scheduling, PassesUncaughtExceptionsOn) {
  std::string message;
  scheduler_->OnUncaught([&](Coroutine& co, const std::exception_ptr& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::runtime_error& error) {
      message = std::string(Name(co)) + ": " + error.what();
    }
  });
  SpawnOptions options = Mode();
  options.name = "thrower";
  scheduler_->Spawn([] { throw std::runtime_error("left"); }, options);
  scheduler_->Run();
  EXPECT_EQ(message, "thrower: left");
}

TEST_P(Scheduling, RefusesMoreThanTheMaximum) {
  scheduler_.reset();
  SchedulerOptions options;
  options.max_coroutines = 2;
  scheduler_ = std::make_unique<Scheduler>(options);
  Go([] {});
  Go([] {});
  try {
    Go([] {});
    ADD_FAILURE() << "a third one was made";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EAGAIN);
  }
  scheduler_->Run();
  Go([] {});
  scheduler_->Run();
}

TEST_P(Scheduling, DestroyingTheSchedulerUnwindsWhatIsLeft) {
  int ended = 0;
  struct Guard {
    int& count;
    ~Guard() { ++count; }
  };
  for (int i = 0; i < 10; ++i) {
    Go([&ended, i] {
      const Guard guard{ended};
      if (i % 2 == 0) SleepFor(1h);
      for (;;) Yield();
    });
  }
  int turns = 0;
  scheduler_->RunUntil([&turns] { return ++turns == 3; });
  scheduler_.reset();
  EXPECT_EQ(ended, 10);
  scheduler_ = std::make_unique<Scheduler>();
}

// The time it takes to destroy a scheduler with `count` coroutines, half of them ready.
double SecondsToDestroy(int count) {
  SchedulerOptions options;
  options.shared_stacks = 1;
  auto scheduler = std::make_unique<Scheduler>(options);
  WaitList list;
  for (int i = 0; i < count; ++i) {
    scheduler->Spawn([&list] { ParkIn(list, WaitKind::kLock, 0); });
  }
  int turns = 0;
  scheduler->RunUntil([&turns] { return ++turns == 1; });
  for (int i = 0; i < count / 2; ++i) list.WakeOne();
  timespec before{}, after{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  scheduler.reset();
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  return static_cast<double>(after.tv_sec - before.tv_sec) +
         static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e9;
}

TEST(SchedulerOfMany, IsDestroyedInTimeThatGrowsWithTheirNumber) {
  if (COGI_SANITIZED || under_valgrind) GTEST_SKIP() << "times mean nothing here";
  SecondsToDestroy(100);  // what is made at first use
  const double few = SecondsToDestroy(4'000), many = SecondsToDestroy(64'000);
  EXPECT_LT(many, 64 * few) << "16 times as many; if it grew with the square, 256 times the time";
}

TEST_P(Scheduling, ForEachShowsWhoWaits) {
  WaitList list;
  for (int i = 0; i < 5; ++i) {
    Go([&list] {
      list.Add(WaitNodeOf(*Current()));
      Park(WaitKind::kLock, 0);
    });
  }
  int parked = 0, ready = 0;
  Go([&] {
    Yield();
    scheduler_->ForEach([&](Coroutine& co) {
      if (StateOf(co) == State::kParked) ++parked;
      if (StateOf(co) == State::kReady) ++ready;
    });
    list.WakeAll();
  });
  scheduler_->Run();
  EXPECT_EQ(parked, 5);
  EXPECT_EQ(ready, 0);
}

TEST_P(Scheduling, IdsAreUnique) {
  std::vector<uint64_t> ids;
  for (int i = 0; i < 10000; ++i) {
    ids.push_back(Id(*Go([] {})));
    if (i % 100 == 0) scheduler_->Run();
  }
  scheduler_->Run();
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
}

TEST_P(Scheduling, PostRunsWorkOfOtherThreadsAndWakesTheLoop) {
  WaitList list;
  bool woken = false;
  std::thread other;
  Go([&] {
    other = std::thread([&] {
      std::this_thread::sleep_for(20ms);
      scheduler_->Post([&] {
        EXPECT_EQ(Current(), nullptr);
        list.WakeAll();
      });
    });
    list.Add(WaitNodeOf(*Current()));
    woken = Park(WaitKind::kThread, 0, After(10s)) == WakeReason::kReady;
  });
  scheduler_->Run();
  other.join();
  EXPECT_TRUE(woken);
}

struct Prepared final : Scheduler::Posted {
  void Run() override { ++runs; }
  void Drop() noexcept override { ++drops; }
  int runs = 0;
  int drops = 0;
};

TEST_P(Scheduling, PostRunsPreparedWorkOnceInOrderAndDropsWhatIsLeftAtTheEnd) {
  Prepared first;
  Prepared second;
  Prepared late;
  std::thread other([&] {
    scheduler_->Post(first);
    scheduler_->Post([&] { EXPECT_EQ(first.runs + 2 * second.runs, 1); });
    scheduler_->Post(second);
  });
  other.join();
  Go([] { SleepFor(1ms); });
  scheduler_->Run();
  EXPECT_EQ(first.runs + second.runs, 2);
  std::thread([&] {
    Scheduler ends;
    ends.Post(first);
    ends.Post(late);
    ends.Post([&] { FAIL() << "the scheduler has ended"; });
  }).join();
  EXPECT_EQ(first.runs + second.runs + late.runs, 2);
  EXPECT_EQ(first.drops + late.drops, 2);
}

TEST_P(Scheduling, EachThreadHasItsOwnScheduler) {
  std::atomic<int> finished{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      EXPECT_EQ(Scheduler::Current(), nullptr);
      Scheduler mine;
      for (int i = 0; i < 50; ++i) {
        mine.Spawn(
            [&] {
              SleepFor(1ms);
              ++finished;
            },
            Mode());
      }
      mine.Run();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(finished, 200);
}

TEST_P(Scheduling, AForkedChildHasNoCurrentCoroutine) {
  int status = -1;
  Go([&] {
    const pid_t child = fork();
    if (child == 0) {
      // By exec: what the parent's other threads held is lost here, and Valgrind would say so.
      if (Current() == nullptr && Scheduler::Current() == nullptr)
        execl("/bin/sh", "sh", "-c", "exit 42", nullptr);
      _exit(1);
    }
    waitpid(child, &status, 0);
    Yield();
  });
  scheduler_->Run();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

class Pins : public WithScheduler {
 protected:
  SchedulerOptions Options() override {
    SchedulerOptions options;
    options.shared_stacks = 1;
    return options;
  }
};

TEST_F(Pins, KeepTheStackWhileOthersRun) {
  bool kept = true;
  int others = 0;
  scheduler_->Spawn([&] {
    volatile int local = 1;
    volatile int* address = &local;
    EXPECT_TRUE(OnSharedStack(const_cast<int*>(address)));
    const PinScope pin;
    EXPECT_FALSE(OnSharedStack(const_cast<int*>(address)));
    for (int i = 0; i < 20; ++i) {
      *address = i;
      others = 0;
      for (int other = 0; other < 4; ++other) {
        scheduler_->Spawn([&others, address, &kept, i] {
          KeepsFrame<5000>(1, [] { Yield(); });
          if (*address != i) kept = false;  // nobody else has been on that stack
          ++others;
        });
      }
      while (others < 4) Yield();
    }
  });
  scheduler_->Run();
  EXPECT_TRUE(kept);
  EXPECT_EQ(scheduler_->stats().shared_stacks, 2u);
}

TEST_F(Pins, MakeOthersOfTheSameStackWaitForTheUnpin) {
  std::string log;
  scheduler_->Spawn([&] {
    Yield();
    log += 'b';
  });
  scheduler_->Spawn([&] {
    const PinScope pin;
    SleepFor(std::chrono::milliseconds(5));
    log += 'a';
  });
  scheduler_->Run();
  EXPECT_EQ(log, "ab");
}

}  // namespace
}  // namespace cogi::coroutine
