// Time: the loop keeps to the monotonic clock, whatever becomes of the wall clock, and however far
// off a deadline is. The clocks that this program sees are its own: it stands before libc's
// clock_gettime() and its kin and can move them.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "coroutine/channel.h"
#include "coroutine/event_loop.h"
#include "coroutine/inspect.h"
#include "coroutine/libco/co_routine_inner.h"
#include "coroutine/sync.h"
#include "tests/coroutine/fixture.h"

namespace {

constexpr int64_t kSecond = 1'000'000'000;
std::atomic<int64_t> wall_shift{0};       // ns that the wall clock is set forth
std::atomic<int64_t> monotonic_shift{0};  // ns that have passed without anybody's waiting
std::atomic<int64_t> wall_reads{0};
std::atomic<int64_t> monotonic_stopped_at{0};  // ns; 0: it goes

}  // namespace

extern "C" [[gnu::visibility("default")]] int clock_gettime(clockid_t clock,
                                                            timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (result != 0) return static_cast<int>(result);
  const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (wall) ++wall_reads;
  if (clock == CLOCK_MONOTONIC && monotonic_stopped_at != 0) {
    *time = {monotonic_stopped_at / kSecond, monotonic_stopped_at % kSecond};
    return 0;
  }
  const int64_t shifted =
      time->tv_sec * kSecond + time->tv_nsec + (wall ? wall_shift.load() : monotonic_shift.load());
  *time = {shifted / kSecond, shifted % kSecond};
  return 0;
}
extern "C" [[gnu::visibility("default")]] int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}
extern "C" [[gnu::visibility("default")]] time_t time(time_t* result) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != nullptr) *result = now.tv_sec;
  return now.tv_sec;
}

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;

class Clocks : public InBothStackModes {
 protected:
  void SetUp() override {
    wall_shift = monotonic_shift = monotonic_stopped_at = 0;
    InBothStackModes::SetUp();
  }
  void TearDown() override {
    InBothStackModes::TearDown();
    wall_shift = monotonic_shift = monotonic_stopped_at = 0;
  }
  // Lets `time` pass at once; the loop, which may be waiting, looks at the clock.
  void Pass(std::chrono::nanoseconds time) {
    monotonic_shift += time.count();
    scheduler_->Post([] {});
  }
};
COGI_IN_BOTH_STACK_MODES(Clocks);

// libco: set back, every timer stands still until the clock has caught up; set forth, all are due
// at once.
TEST_P(Clocks, SettingTheWallClockBackAndForthChangesNothing) {
  for (const int64_t shift : {-3600 * kSecond, 3600 * kSecond, -10 * 365 * 86400 * kSecond}) {
    std::string log;
    const auto start = std::chrono::steady_clock::now();
    for (const int ms : {60, 20, 40}) {
      Go([&log, ms] {
        EXPECT_EQ(SleepFor(std::chrono::milliseconds(ms)), WakeReason::kTimeout);
        log += std::to_string(ms) + " ";
      });
    }
    Go([&log] {
      EXPECT_EQ(SleepFor(10s), WakeReason::kCancelled);
      log += "cancelled ";
    });
    Coroutine* late = nullptr;
    scheduler_->ForEach([&late](Coroutine& co) {
      if (late == nullptr || Id(co) > Id(*late)) late = &co;
    });
    Go([&, late] {
      SleepFor(10ms);
      wall_shift = shift;  // while all of them wait
      SleepFor(100ms);
      Cancel(*late);
    });
    scheduler_->Run();
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(log, "20 40 60 cancelled ") << "shifted by " << shift / kSecond << " s";
    EXPECT_GE(took, 110ms);
    EXPECT_LT(took, 5s);
  }
}

TEST_P(Clocks, ADumpSaysForHowLongOneWaitsAfterMonths) {
  monotonic_shift = 50 * 86400 * kSecond;
  Coroutine* sleeper = Go([] {
    SleepFor(1ms);  // the loop has looked at the clock by then
    EXPECT_EQ(SleepFor(1h), WakeReason::kCancelled);
  });
  Go([sleeper] {
    SleepFor(20ms);
    monotonic_shift += 10 * kSecond;
    EXPECT_GE(Inspect(*sleeper).waiting, 10s);
    EXPECT_LT(Inspect(*sleeper).waiting, 1min);
    Cancel(*sleeper);
  });
  scheduler_->Run();
}

TEST(CoarseClock, IsTheMonotonicOneOfAMomentAgo) {
  wall_shift = 3600 * kSecond;
  for (int i = 0; i < 1000; ++i) {
    const Deadline earlier = Clock::now(), coarse = CoarseNow();
    EXPECT_LE(coarse, Clock::now());
    EXPECT_GT(coarse, earlier - 20ms);
  }
  wall_shift = 0;
}

TEST_P(Clocks, TheLoopNeverAsksTheWallClock) {
  const int64_t before = wall_reads;
  for (int i = 0; i < 10; ++i) Go([] { SleepFor(2ms); });
  scheduler_->Run();
  EXPECT_EQ(wall_reads, before);
}

// libco's wheel ends after 60 seconds: longer timeouts are put off again and again, and drift.
TEST_P(Clocks, TimeoutsOfAMinuteTenMinutesAndTwentyFiveDaysAreExact) {
  for (const auto wait : {std::chrono::nanoseconds(61s), std::chrono::nanoseconds(10min),
                          std::chrono::nanoseconds(25 * 24h)}) {
    bool woken = false;
    Go([&woken, wait] {
      const Deadline start = Clock::now();
      EXPECT_EQ(SleepFor(wait), WakeReason::kTimeout);
      woken = true;
      EXPECT_GE(Clock::now() - start, wait);
      EXPECT_LT(Clock::now() - start, wait + 2s);
    });
    std::thread time([this, wait] {
      std::this_thread::sleep_for(20ms);
      for (int i = 0; i < 9; ++i) {  // in steps; the rest, half a second, is waited for
        Pass((wait - 500ms) / 9);
        std::this_thread::sleep_for(2ms);
      }
    });
    bool early = false;
    Go([&] {
      SleepFor(wait - 400ms);
      early = woken;
    });
    scheduler_->Run();
    time.join();
    EXPECT_TRUE(woken);
    EXPECT_FALSE(early) << "woken more than 400 ms too early";
  }
}

// Waits of every kind that has a deadline; each returns whether it ended by it. What is waited for
// lies on no shared stack.
bool SleepsUntil(Deadline deadline) { return SleepUntil(deadline) == WakeReason::kTimeout; }
bool Acquires(Deadline deadline) {
  static Semaphore none(0);
  return none.Acquire(deadline) == WakeReason::kTimeout;
}
bool Locks(Deadline deadline) {
  static Mutex mutex;
  const std::lock_guard<Mutex> lock(mutex);
  static ConditionVariable never;
  return never.Wait(mutex, deadline) == WakeReason::kTimeout;
}
bool Receives(Deadline deadline) {
  static Channel<int> empty;
  return !empty.Receive(deadline).has_value();
}
bool Polls(Deadline deadline) { return PollFds(nullptr, 0, deadline) == 0; }
constexpr bool (*kWaits[])(Deadline) = {&SleepsUntil, &Acquires, &Locks, &Receives, &Polls};

// The clock jumps by years in both directions while the waits go on.
TEST_P(Clocks, NoTimedWaitLooksAtTheWallClockWhileItJumps) {
  constexpr int64_t kTenYears = int64_t{3650} * 86400 * kSecond;
  const time_t real = time(nullptr);
  wall_shift = kTenYears;
  ASSERT_GT(time(nullptr), real + kTenYears / kSecond / 2) << "this test does not set the clock";
  const Deadline start = Clock::now();
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    Go([&order, start, i] {
      const int ms = 500 + i * 37 % 50;  // all wait by then
      const Deadline deadline = start + std::chrono::milliseconds(ms);
      EXPECT_TRUE(kWaits[i % 5](deadline));
      EXPECT_GE(Clock::now(), deadline);
      order.push_back(ms);
    });
  }
  Go([] {
    for (int i = 0; i < 600; ++i) {
      wall_shift = i % 2 == 0 ? -kTenYears : kTenYears;
      SleepFor(1ms);
    }
  });
  wall_reads = 0;
  scheduler_->Run();
  EXPECT_EQ(wall_reads, 0) << "something of the runtime looks at the wall clock";
  EXPECT_EQ(order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_LT(Clock::now() - start, 5s);
}

void CountsTimeouts(int& timeouts) {
  for (int i = 0; i < 5; ++i) {
    if (co_poll(co_get_epoll_ct(), nullptr, 0, 5) == 0) ++timeouts;
    stCoCond_t* never = co_cond_alloc();
    if (co_cond_timedwait(never, 5) != 0) ++timeouts;
    co_cond_free(never);
  }
}

TEST(LibcoClocks, NoTimedWaitLooksAtTheWallClockWhileItJumps) {
  int timeouts = 0;
  std::thread([&timeouts] {
    stCoRoutine_t* co = nullptr;
    const auto body = [](void* count) -> void* {
      CountsTimeouts(*static_cast<int*>(count));
      return nullptr;
    };
    ASSERT_EQ(co_create(&co, nullptr, body, &timeouts), 0);
    wall_reads = 0;
    co_resume(co);
    co_eventloop(
        co_get_epoll_ct(),
        [](void* coroutine) {
          wall_shift = wall_shift > 0 ? -3600 * kSecond : 3600 * kSecond;
          return static_cast<stCoRoutine_t*>(coroutine)->cEnd != 0 ? -1 : 0;
        },
        co);
    EXPECT_EQ(wall_reads, 0);
    co_release(co);
  }).join();
  wall_shift = 0;
  EXPECT_EQ(timeouts, 10);
}

// The loop sleeps in the kernel all the while; another thread moves the clock and wakes it.
TEST_P(Clocks, TenMinutesAnd25DaysAreExactToTheNanosecond) {
  for (const auto wait : {Clock::duration(10min), Clock::duration(25 * 24h)}) {
    const int64_t start = 1'000'000 * kSecond, due = start + wait.count();
    monotonic_stopped_at = start;
    std::atomic<int> woken{0};
    for (auto waits : kWaits) {
      Go([&woken, waits, due] {
        EXPECT_TRUE(waits(Deadline(Clock::duration(due))));
        EXPECT_EQ(Clock::now().time_since_epoch().count(), due);
        ++woken;
      });
    }
    const uint64_t waits_before = scheduler_->stats().epoll_waits;
    uint64_t waits_asleep = 0;
    int woken_before = -1;
    std::thread other([&] {
      std::this_thread::sleep_for(50ms);
      scheduler_->Post([&] { waits_asleep = scheduler_->stats().epoll_waits - waits_before; });
      monotonic_stopped_at = due - 1;
      std::this_thread::sleep_for(50ms);
      woken_before = woken;
      monotonic_stopped_at = due;
      scheduler_->Post([] {});
    });
    scheduler_->Run();
    other.join();
    EXPECT_LE(waits_asleep, 2u) << "woken by nothing";
    EXPECT_EQ(woken_before, 0) << "a nanosecond too early";
    EXPECT_EQ(woken, 5);
  }
}

TEST_P(Clocks, TimersThatAreFarAwayOrCancelledCauseNoWakeUp) {
  constexpr int kFar = 2000, kCancelled = 500;
  for (int i = 0; i < kFar; ++i)
    Go([i] { EXPECT_EQ(SleepFor(1h + std::chrono::milliseconds(i)), WakeReason::kCancelled); });
  Semaphore semaphore(0);
  for (int i = 0; i < kCancelled; ++i) {
    Go([&semaphore, i] {  // would be due while the last one sleeps
      EXPECT_EQ(semaphore.Acquire(After(1s + std::chrono::milliseconds(i % 100))),
                WakeReason::kReady);
    });
  }
  Go([&] {
    semaphore.Release(kCancelled);
    SleepFor(1ms);
    rusage before{}, after{};
    const Scheduler::Stats stats = scheduler_->stats();
    getrusage(RUSAGE_THREAD, &before);
    SleepFor(1200ms);
    getrusage(RUSAGE_THREAD, &after);
    EXPECT_LE(scheduler_->stats().epoll_waits - stats.epoll_waits, 2u);
    EXPECT_EQ(scheduler_->stats().timers_fired - stats.timers_fired, 1u);
    EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 2);
    scheduler_->ForEach([](Coroutine& co) { Cancel(co); });
  });
  scheduler_->Run();
}

}  // namespace
}  // namespace cogi::coroutine
