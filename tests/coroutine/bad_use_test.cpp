// Bad use and want of memory: a defined result each time, an error or a sentence. (Resume of an
// ended coroutine, yield outside one and double release: resume_test.cpp; more than the maximum:
// scheduler_test.cpp.)
#include <sys/resource.h>

#include <cerrno>
#include <system_error>

#include "coroutine/resume.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using BadUse = WithScheduler;

// While it lives the kernel gives this process no more memory.
class NoMoreMemory {
 public:
  NoMoreMemory() {
    getrlimit(RLIMIT_AS, &before_);
    rlimit none = before_;
    none.rlim_cur = 4096;
    setrlimit(RLIMIT_AS, &none);
  }
  ~NoMoreMemory() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST_F(BadUse, AStackSizeOfZeroIsTheDefaultAndOneGigabyteIsTheLargest) {
  int ran = 0;
  for (const size_t size : {size_t{0}, size_t{1} << 30}) {
    SpawnOptions options;
    options.stack_mode = StackMode::kPrivate;
    options.stack_size = size;
    Coroutine* co = Create([&ran] { ++ran; }, options);
    Resume(*co);
    Destroy(co);
  }
  EXPECT_EQ(ran, 2);
}

TEST_F(BadUse, NoMemoryForAStackIsAnErrorOfCreateAndNothingIsLost) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers need memory for themselves";
#endif
  SpawnOptions options;
  options.stack_mode = StackMode::kPrivate;
  options.stack_size = 64 << 20;
  int error = 0;
  {
    const NoMoreMemory limited;
    try {
      (void)Create([] {}, options);
    } catch (const std::system_error& failure) {
      error = failure.code().value();
    }
  }
  EXPECT_EQ(error, ENOMEM);
  int ran = 0;
  Coroutine* co = Create([&ran] { ++ran; }, options);
  Resume(*co);
  Destroy(co);
  EXPECT_EQ(ran, 1);
}

TEST(BadUseDeathTest, NoMemoryForASaveBufferIsSaid) {
#if COGI_SANITIZED
  GTEST_SKIP() << "sanitizers need memory for themselves";
#endif
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        SchedulerOptions options;
        options.shared_stacks = 1;
        Scheduler scheduler(options);
        Coroutine* deep = Create([] { KeepsFrame<200'000>(1, [] { YieldToResumer(); }); });
        Coroutine* other = Create([] {});
        Resume(*deep);
        const NoMoreMemory limited;
        Resume(*other);
      },
      "out of memory while the frames of a parked coroutine were saved");
}

}  // namespace
}  // namespace cogi::coroutine
