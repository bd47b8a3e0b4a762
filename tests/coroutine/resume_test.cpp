// The asymmetric core: resume, yield, nesting, and what a shared stack must never lose.
#include "coroutine/resume.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif
#include <cerrno>
#include <cfenv>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/control_block.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using Core = InBothStackModes;
COGI_IN_BOTH_STACK_MODES(Core);

class SharedStack : public WithScheduler {
 protected:
  SchedulerOptions Options() override {
    SchedulerOptions options;
    options.shared_stacks = 1;  // every two coroutines collide
    return options;
  }
};

TEST_F(SharedStack, RestoresFramesAfterTheStacksPreviousOwnerWasReleased) {  // libco #64
  bool kept = false;
  Coroutine* first = Create([&] { kept = KeepsFrame<600>(1, [] { YieldToResumer(); }); });
  Resume(*first);
  Coroutine* second = Create([] { KeepsFrame<900>(2, [] { YieldToResumer(); }); });
  Resume(*second);
  Destroy(second);
  Resume(*first);
  EXPECT_EQ(StateOf(*first), State::kDone);
  EXPECT_TRUE(kept);
  Destroy(first);
}

TEST_F(SharedStack, RestoresFramesAfterThePreviousOwnerEnded) {
  bool kept = false;
  Coroutine* first = Create([&] { kept = KeepsFrame<600>(1, [] { YieldToResumer(); }); });
  Resume(*first);
  Coroutine* second = Create([] { KeepsFrame<900>(2, [] {}); });
  Resume(*second);
  EXPECT_EQ(StateOf(*second), State::kDone);
  Resume(*first);
  EXPECT_TRUE(kept);
  Destroy(first);
  Destroy(second);
}

TEST_F(SharedStack, NestsResumesBetweenCoroutinesOfOneStack) {
  std::vector<int> order;
  bool outer_kept = false, inner_kept = true;
  Coroutine* inner = Create([&] {
    inner_kept = KeepsFrame<3000>(7, [&] {
      order.push_back(2);
      YieldToResumer();
      order.push_back(4);
      YieldToResumer();
      order.push_back(6);
    });
  });
  Coroutine* outer = Create([&, inner] {
    outer_kept = KeepsFrame<500>(3, [&] {
      order.push_back(1);
      Resume(*inner);
      order.push_back(3);
      Resume(*inner);
      order.push_back(5);
      Resume(*inner);
    });
  });
  Resume(*outer);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(outer_kept);
  EXPECT_TRUE(inner_kept);
  EXPECT_EQ(StateOf(*inner), State::kDone);
  Destroy(outer);
  Destroy(inner);
}

// libco: stack k mod n, whoever else lives there.
TEST_F(SharedStack, ANewCoroutineTakesTheStackThatFewestUse) {
  scheduler_.reset();
  SchedulerOptions options;
  options.shared_stacks = 2;
  scheduler_ = std::make_unique<Scheduler>(options);
  const auto body = [] {
    for (;;) YieldToResumer();
  };
  // Of four on two stacks the second and the fourth end: two are left on one stack, or one on each.
  std::vector<Coroutine*> first;
  for (int i = 0; i < 4; ++i) {
    first.push_back(Create(body));
    Resume(*first.back());
  }
  const RunStack* crowded = first[0]->stack;
  std::vector<Coroutine*> left;
  for (Coroutine* co : first) {
    if (co->stack == crowded)
      left.push_back(co);
    else
      Destroy(co);
  }
  ASSERT_EQ(left.size(), 2u);
  for (int i = 0; i < 2; ++i) {  // both find the other stack
    left.push_back(Create(body));
    Resume(*left.back());
    EXPECT_NE(left.back()->stack, crowded);
  }
  for (Coroutine* co : left) Destroy(co);
}

// A frame of `size` bytes with a pattern of its own, and yields below it until `end`.
[[gnu::noinline]] bool KeepsFrameOf(size_t size, unsigned seed, const bool& end) {
  auto* bytes = static_cast<volatile unsigned char*>(__builtin_alloca(size));
  for (unsigned round = 0; !end; ++round) {
    for (size_t i = 0; i < size; ++i)
      bytes[i] = static_cast<unsigned char>(seed * 31 + round * 7 + i);
    YieldToResumer();
    for (size_t i = 0; i < size; ++i) {
      if (bytes[i] != static_cast<unsigned char>(seed * 31 + round * 7 + i)) return false;
    }
  }
  return true;
}

TEST_F(SharedStack, KeepsFramesOfEqualAndOfUnequalDepthInAnyOrder) {
  constexpr unsigned kCount = 60;
  std::vector<Coroutine*> all;
  bool end = false;
  unsigned kept = 0;
  for (unsigned i = 0; i < kCount; ++i) {
    // Pairs and more of one size, in every remainder of a line; some larger than any line's loop.
    const size_t size = i % 10 == 9 ? 70'000 + i : 16 * (1 + i % 7) * (1 + i % 3 * 8);
    all.push_back(Create([&, i, size] {
      if (KeepsFrameOf(size, i, end)) ++kept;
    }));
  }
  unsigned random = 1;
  for (int round = 0; round < 3000; ++round) {
    random = random * 1103515245 + 12345;
    Resume(*all[(random >> 16) % kCount]);
  }
  end = true;
  for (Coroutine* co : all) {
    while (StateOf(*co) != State::kDone) Resume(*co);
    Destroy(co);
  }
  EXPECT_EQ(kept, kCount);
}

// Frames of one size change places without a second buffer each.
TEST_F(SharedStack, TakesNoMoreBuffersThanCoroutinesAreParked) {
  constexpr size_t kCount = 100;
  std::vector<Coroutine*> all;
  for (size_t i = 0; i < kCount; ++i) {
    all.push_back(Create([] {
      for (;;) YieldToResumer();
    }));
  }
  for (int round = 0; round < 3; ++round) {
    for (Coroutine* co : all) Resume(*co);
  }
  const Scheduler::Stats stats = scheduler_->stats();
  EXPECT_EQ(stats.stack_saves, 3 * kCount - 1);
  EXPECT_LE(stats.save_bytes, kCount * (stats.bytes_saved / stats.stack_saves + 64));
  for (Coroutine* co : all) Destroy(co);
}

TEST_F(SharedStack, CopiesOnlyWhenAnotherNeedsTheStack) {
  Coroutine* lone = Create([] {
    for (int i = 0; i < 10; ++i) YieldToResumer();
  });
  for (int i = 0; i < 11; ++i) Resume(*lone);
  EXPECT_EQ(scheduler_->stats().stack_saves, 0u);
  EXPECT_EQ(StateOf(*lone), State::kDone);
  Destroy(lone);
}

TEST_F(SharedStack, SavesNoMoreThanTheUsedBytes) {
  Coroutine* first = Create([] { YieldToResumer(); });
  Coroutine* second = Create([] { YieldToResumer(); });
  Resume(*first);
  Resume(*second);
  EXPECT_EQ(scheduler_->stats().stack_saves, 1u);
#if !COGI_SANITIZED
  EXPECT_LE(scheduler_->stats().bytes_saved, 400u);
#endif
  Destroy(first);
  Destroy(second);
}

TEST_F(SharedStack, GivesMemoryOfADeepFrameBackOnceItIsShallow) {
  Coroutine* deep = Create([] {
    KeepsFrame<20000>(1, [] { YieldToResumer(); });
    YieldToResumer();
  });
  Coroutine* other = Create([] {
    for (;;) YieldToResumer();
  });
  Resume(*deep);
  Resume(*other);
  EXPECT_GE(scheduler_->stats().save_bytes, 20000u);
  Resume(*deep);
  Resume(*other);
  EXPECT_LE(scheduler_->stats().save_bytes, 4000u);
  Destroy(deep);
  Destroy(other);
}

TEST_P(Core, NestsDeeperThan128) {  // libco's call stack of 128 has no bound check
  constexpr int kDepth = 300;
  int deepest = 0;
  std::function<void(int)> dive = [&](int depth) {
    deepest = std::max(deepest, depth);
    if (depth == kDepth) return;
    Coroutine* next = Create([&dive, depth] { dive(depth + 1); }, Mode());
    Resume(*next);
    EXPECT_EQ(StateOf(*next), State::kDone);
    Destroy(next);
  };
  Coroutine* first = Create([&] { dive(1); }, Mode());
  Resume(*first);
  Destroy(first);
  EXPECT_EQ(deepest, kDepth);
}

TEST_P(Core, CarriesErrnoAndFloatingPointModes) {
  Coroutine* co = Create(
      [] {
        EXPECT_EQ(errno, 0);
        errno = EBADF;
        std::fesetround(FE_UPWARD);
        YieldToResumer();
        EXPECT_EQ(errno, EBADF);
        EXPECT_EQ(std::fegetround(), FE_UPWARD);
      },
      Mode());
  errno = ENOENT;
  std::fesetround(FE_DOWNWARD);
  Resume(*co);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
  errno = EPERM;
  Resume(*co);
  EXPECT_EQ(errno, EPERM);
  std::fesetround(FE_TONEAREST);
  Destroy(co);
}

#if defined(__SSE__)
// Behind the C library's back: the x87 control word stays what it was.
TEST_P(Core, CarriesSseModesThatWereSetByThemselves) {
  if (under_valgrind) GTEST_SKIP() << "Valgrind's processor has no flush-to-zero";
  constexpr unsigned kFlushToZero = 0x8000, kRounding = 0x6000, kFlags = 0x3f;
  const unsigned neutral = _mm_getcsr() & ~kFlags;
  const auto mode = [] { return _mm_getcsr() & ~kFlags; };
  Coroutine* co = Create(
      [&] {
        EXPECT_EQ(mode(), neutral);
        _mm_setcsr(neutral | kFlushToZero);
        for (int i = 0; i < 3; ++i) {
          YieldToResumer();
          EXPECT_EQ(mode(), neutral | kFlushToZero);
        }
      },
      Mode());
  Coroutine* other = Create(
      [&] {
        for (;;) {
          EXPECT_EQ(mode(), neutral);
          YieldToResumer();
        }
      },
      Mode());
  _mm_setcsr(neutral | kRounding);  // seen when a coroutine is resumed for the first time
  for (int i = 0; i < 3; ++i) {
    Resume(*co);
    EXPECT_EQ(mode(), neutral | kRounding);
    Resume(*other);
    EXPECT_EQ(mode(), neutral | kRounding);
  }
  _mm_setcsr(neutral);
  Resume(*co);
  Resume(*other);
  EXPECT_EQ(mode(), neutral);
  Destroy(co);
  Destroy(other);
}
#endif

TEST_P(Core, KeepsExceptionsOfAThousandCoroutinesApart) {
  constexpr int kCount = 1000;
  int right = 0;
  for (int i = 0; i < kCount; ++i) {
    Go([&right, i] {
      try {
        try {
          Yield();
          throw i;
        } catch (int caught) {
          Yield();
          try {
            throw std::to_string(caught);
          } catch (const std::string& inner) {
            Yield();
            if (inner != std::to_string(i)) return;
          }
          Yield();
          throw;
        }
      } catch (int again) {
        Yield();
        if (again == i && std::uncaught_exceptions() == 0) ++right;
      }
    });
  }
  scheduler_->Run();
  EXPECT_EQ(right, kCount);
}

struct CountsItsEnd {
  explicit CountsItsEnd(int& count) : count_(count) {}
  ~CountsItsEnd() { ++count_; }
  int& count_;
};

TEST_P(Core, DestroyRunsTheDestructorsOfASuspendedCoroutine) {
  int ended = 0;
  auto in_capture = std::make_shared<int>(1);
  Coroutine* co = Create(
      [&ended, in_capture] {
        CountsItsEnd outer(ended);
        KeepsFrame<300>(1, [&] {
          CountsItsEnd inner(ended);
          YieldToResumer();
          ADD_FAILURE() << "went on";
        });
      },
      Mode());
  Resume(*co);
  EXPECT_EQ(in_capture.use_count(), 2);
  Destroy(co);
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(in_capture.use_count(), 1);
}

TEST_P(Core, DestroyUnwindsFromInsideACatchBlock) {
  int ended = 0;
  Coroutine* co = Create(
      [&ended] {
        CountsItsEnd outer(ended);
        try {
          throw 1;
        } catch (int) {
          YieldToResumer();
        }
      },
      Mode());
  Resume(*co);
  Destroy(co);
  EXPECT_EQ(ended, 1);
}

TEST_P(Core, DestroyGoesOnWhenACatchAllSwallowsTheUnwinding) {
  int ended = 0, swallowed = 0;
  Coroutine* co = Create(
      [&] {
        CountsItsEnd outer(ended);
        for (int i = 0; i < 3; ++i) {
          try {
            YieldToResumer();
          } catch (...) {
            ++swallowed;
          }
        }
        YieldToResumer();
      },
      Mode());
  Resume(*co);
  Destroy(co);
  EXPECT_EQ(swallowed, 3);
  EXPECT_EQ(ended, 1);
}

TEST_P(Core, DestroyAbandonsOneThatSwallowsForEver) {
  Coroutine* co = Create(
      [] {
        for (;;) {
          try {
            YieldToResumer();
          } catch (...) {
          }
        }
      },
      Mode());
  Resume(*co);
  Destroy(co);
}

[[gnu::noinline]] void YieldsWithinNoexcept(int& ended) noexcept {
  CountsItsEnd here(ended);
  YieldToResumer();
}

TEST_P(Core, DestroyDoesNotUnwindThroughANoexceptFrame) {
  int ended = 0;
  Coroutine* co = Create(
      [&ended] {
        CountsItsEnd outer(ended);
        YieldsWithinNoexcept(ended);
      },
      Mode());
  Resume(*co);
  Destroy(co);
  EXPECT_EQ(ended, 0);
}

TEST_P(Core, DestroyOfOneThatNeverRanDestroysItsCaptures) {
  auto in_capture = std::make_shared<int>(1);
  Coroutine* co = Create([in_capture] {}, Mode());
  EXPECT_EQ(StateOf(*co), State::kNew);
  Destroy(co);
  EXPECT_EQ(in_capture.use_count(), 1);
}

TEST_P(Core, DestroyFromAnotherCoroutineOfTheSameStack) {
  int ended = 0;
  Coroutine* victim = Create(
      [&ended] {
        CountsItsEnd here(ended);
        YieldToResumer();
      },
      Mode());
  Resume(*victim);
  bool kept = false;
  Go([&] { kept = KeepsFrame<400>(9, [&] { Destroy(victim); }); });
  scheduler_->Run();
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(kept);
}

TEST_P(Core, StacksAreAligned) {
  Coroutine* co = Create(
      [] {
        alignas(64) volatile char line[64] = {};
        EXPECT_EQ(reinterpret_cast<uintptr_t>(&line[0]) % 64, 0u);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) % 16, 0u);
      },
      Mode());
  Resume(*co);
  Destroy(co);
}

struct Recorder : SwitchHook {
  explicit Recorder(std::string& log) : log_(log) {}
  void Enter(Coroutine&) noexcept override { log_ += 'e'; }
  void Leave(Coroutine&) noexcept override { log_ += 'l'; }
  std::string& log_;
};

TEST_P(Core, CallsTheSwitchHookAroundEachRun) {
  std::string log;
  log.reserve(64);
  Recorder recorder(log);
  Coroutine* nested = Create([&] { log += 'n'; }, Mode());
  Coroutine* co = Create(
      [&] {
        log += '1';
        SetSwitchHook(*Current(), &recorder);
        YieldToResumer();
        log += '2';
        Resume(*nested);
        YieldToResumer();
        log += '3';
      },
      Mode());
  Resume(*co);
  log += ',';
  Resume(*co);
  log += ',';
  Resume(*co);
  EXPECT_EQ(log, "1el,e2lnel,e3l");
  Destroy(co);
  Destroy(nested);
}

using CoreDeathTest = Core;
COGI_IN_BOTH_STACK_MODES(CoreDeathTest);

TEST_P(CoreDeathTest, SaysWhatWasDoneWrong) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Coroutine* co = Create([] {}, Mode());
  Resume(*co);
  EXPECT_DEATH(Resume(*co), "has ended: reset it or make a new one");
  EXPECT_DEATH(YieldToResumer(), "yield outside a coroutine");
  EXPECT_DEATH(
      {
        Destroy(co);
        Destroy(co);
      },
      "released twice");
  Destroy(co);
}

TEST_P(CoreDeathTest, RefusesAResumeAndAReleaseOnAnotherThread) {  // libco #60, #61
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Coroutine* co = Create([] { YieldToResumer(); }, Mode());
  Resume(*co);
  EXPECT_DEATH(std::thread([co] {
                 Scheduler other;
                 Resume(*co);
               }).join(),
               "on another thread than its own: use Scheduler::Post");
  EXPECT_DEATH(std::thread([co] {
                 Scheduler other;
                 Destroy(co);
               }).join(),
               "released on another thread");
  Destroy(co);
}

TEST_F(SharedStack, RefusesStackSizesOutOfRange) {
  for (const size_t size : {size_t{1}, size_t{4096}, (size_t{1} << 30) + 1}) {
    SpawnOptions options;
    options.stack_mode = StackMode::kPrivate;
    options.stack_size = size;
    EXPECT_THROW((void)Create([] {}, options), std::system_error) << size;
  }
}

TEST(ControlBlock, TakesAtMost192Bytes) {
#if !COGI_SANITIZED
  EXPECT_LE(sizeof(Coroutine), 192u);
#endif
}

}  // namespace
}  // namespace cogi::coroutine
