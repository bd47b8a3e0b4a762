// Seeing what coroutines do: list, backtraces of parked ones, overflow report, watched stacks.
#include "coroutine/inspect.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "coroutine/control_block.h"
#include "coroutine/resume.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {

// External, so that dladdr() knows it (the test is linked with -rdynamic).
__attribute__((noinline, visibility("default"))) void ParksSomewhereKnown() {
  SleepFor(std::chrono::milliseconds(20));
  asm volatile("");  // no tail call
}

namespace {

using Inspecting = InBothStackModes;
COGI_IN_BOTH_STACK_MODES(Inspecting);

TEST_P(Inspecting, ABacktraceOfAParkedCoroutineShowsWhereItStandsAndDisturbsNothing) {
  int finished = 0;
  for (unsigned i = 0; i < 10; ++i) {
    SpawnOptions options = Mode();
    options.name = "known";
    scheduler_->Spawn(
        [&finished, i] {
          if (KeepsFrame<500>(i, [] { ParksSomewhereKnown(); })) ++finished;
        },
        options);
  }
  int turns = 0;
  scheduler_->RunUntil([&turns] { return ++turns == 1; });
  for (int round = 0; round < 2; ++round) {
    int seen = 0;
    scheduler_->ForEach([&](Coroutine& co) {
      const std::string text = Describe(co);
      EXPECT_NE(text.find("\"known\" parked for a time"), std::string::npos) << text;
      EXPECT_NE(text.find("ParksSomewhereKnown"), std::string::npos) << text;
      EXPECT_GE(Backtrace(co).size(), 4u);
      ++seen;
    });
    EXPECT_EQ(seen, 10);
  }
  scheduler_->Run();
  EXPECT_EQ(finished, 10);
}

TEST_P(Inspecting, DescribesFromInsideACoroutine) {
  std::string text;
  Go([] { SleepFor(std::chrono::milliseconds(5)); });
  Go([&] {
    Yield();
    text = DescribeAll();
  });
  scheduler_->Run();
  EXPECT_NE(text.find("parked for a time"), std::string::npos) << text;
  EXPECT_NE(text.find("running"), std::string::npos) << text;
}

using InspectingDeathTest = Inspecting;
COGI_IN_BOTH_STACK_MODES(InspectingDeathTest);

[[gnu::noinline]] int Recurses(int depth) {  // until something stops it
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : Recurses(depth + 1) + frame[0];
}

TEST_P(InspectingDeathTest, AnOverflowIsReportedWithNameAndSize) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers have a handler of their own";
#else
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        SpawnOptions options = Mode();
        options.name = "deep";
        scheduler_->Spawn([] { Recurses(0); }, options);
        scheduler_->Run();
      },
      "stack overflow in coroutine #[0-9]+ \"deep\": its (shared|private) stack of [0-9]+ bytes");
#endif
}

// The handler of overflows leaves to every other fault, and to a signal that somebody sends, what
// they do without it.
TEST(OverflowDeathTest, ASegmentationFaultThatIsSentEndsTheProcess) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers have a handler of their own";
#else
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const Scheduler scheduler;
        kill(getpid(), SIGSEGV);
        _exit(0);
      },
      ::testing::KilledBySignal(SIGSEGV), "");
#endif
}

#if !COGI_SANITIZED
void OverflowAmongNeighbours() {
  Scheduler scheduler;
  SpawnOptions options;
  options.stack_mode = StackMode::kPrivate;
  options.name = "deep";
  std::vector<Coroutine*> neighbours;
  for (int i = 0; i < 8; ++i) {
    neighbours.push_back(Create(
        [] {
          YieldToResumer();
          Recurses(0);
        },
        options));
    Resume(*neighbours.back());
  }
  Resume(*neighbours[3]);
}
#endif

// Stacks lie side by side: without a guard the one below would be overwritten unseen.
TEST(GuardDeathTest, AnOverflowDoesNotReachTheStackBelow) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers have a handler of their own";
#else
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(OverflowAmongNeighbours(), "stack overflow in coroutine #[0-9]+ \"deep\"");
#endif
}

// Kernels before 6.13 have no MADV_GUARD_INSTALL; there the guard is a mapping of its own.
TEST(GuardDeathTest, NorOnOlderKernels) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers have a handler of their own";
#else
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("COGI_NO_GUARD_INSTALL", "1", 1);  // read at the first stack of the process that dies
  EXPECT_DEATH(OverflowAmongNeighbours(), "stack overflow in coroutine #[0-9]+ \"deep\"");
  unsetenv("COGI_NO_GUARD_INSTALL");
#endif
}

TEST(WatchedStacksDeathTest, APointerThatEscapedFaultsAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  static volatile int* escaped;
  EXPECT_DEATH(
      {
        SchedulerOptions options;
        options.watch_stacks = true;
        Scheduler scheduler(options);
        scheduler.Spawn([] {
          volatile int local = 1;
          escaped = &local;
          Yield();
        });
        scheduler.Spawn([] { *escaped = 2; });
        scheduler.Run();
      },
      "");
}

TEST(WatchedStacks, ChangeNothingForProgramsThatKeepTheLaws) {
  SchedulerOptions options;
  options.watch_stacks = true;
  options.shared_stacks = 2;
  Scheduler scheduler(options);
  int kept = 0;
  for (unsigned i = 0; i < 50; ++i) {
    scheduler.Spawn([&kept, i] {
      if (KeepsFrame<400>(i, [] { Yield(); })) ++kept;
    });
  }
  Coroutine* destroyed = Create([] {
    for (;;) YieldToResumer();
  });
  Resume(*destroyed);
  Destroy(destroyed);
  scheduler.Run();
  EXPECT_EQ(kept, 50);
}

}  // namespace
}  // namespace cogi::coroutine
