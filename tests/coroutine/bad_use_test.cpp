// Bad use and want of memory: a defined result each time, an error or a sentence. (Resume of an
// ended coroutine, yield outside one and double release: resume_test.cpp; more than the maximum:
// scheduler_test.cpp.)
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>
#include <vector>

#include "coroutine/resume.h"
#include "coroutine/sanitizers.h"
#include "coroutine/stack.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using BadUse = WithScheduler;

// While it lives the kernel gives this process no more memory.
class NoMoreMemory {
 public:
  enum Limit { kNothing, kAtPresentSize };
  explicit NoMoreMemory(Limit limit = kNothing) {
    getrlimit(RLIMIT_AS, &before_);
    rlimit none = before_;
    none.rlim_cur = limit == kNothing ? 4096 : PresentSize();
    setrlimit(RLIMIT_AS, &none);
  }
  ~NoMoreMemory() { setrlimit(RLIMIT_AS, &before_); }

 private:
  static rlim_t PresentSize() {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  }

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
  if (COGI_SANITIZED || under_valgrind) GTEST_SKIP() << "the tool needs memory for itself";
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

// The kernel gives no more than there is: parking goes on with what was kept for that.
TEST(WantOfMemory, ACoroutineCanParkWhenMemoryHasRunOut) {
  if (COGI_SANITIZED || under_valgrind) GTEST_SKIP() << "the tool needs memory for itself";
  SchedulerOptions options;
  options.shared_stacks = 1;
  Scheduler scheduler(options);
  std::vector<Coroutine*> parked;
  int ended = 0;
  const auto park = [] { YieldToResumer(); };
  for (int count = 0; count < 20; ++count) {
    parked.push_back(Create([&] {
      KeepsFrame<100'000>(1, park);
      ++ended;
    }));
    parked.push_back(Create([&] {
      KeepsFrame<20'000>(2, park);
      ++ended;
    }));
    parked.push_back(Create([&] {
      KeepsFrame<300>(3, park);
      ++ended;
    }));
  }
  {
    const NoMoreMemory limited(NoMoreMemory::kAtPresentSize);
    for (Coroutine* co : parked) Resume(*co);
  }
  for (Coroutine* co : parked) Resume(*co);
  EXPECT_EQ(ended, 60);
  for (Coroutine* co : parked) Destroy(co);
}

TEST(BadUseDeathTest, NoMemoryForASaveBufferIsSaid) {
  if (COGI_SANITIZED || under_valgrind) GTEST_SKIP() << "the tool needs memory for itself";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        SchedulerOptions options;
        options.shared_stacks = 1;
        Scheduler scheduler(options);
        std::vector<Coroutine*> deep;  // together more than the reserve of 8 MiB
        for (int count = 0; count < 50; ++count)
          deep.push_back(Create([] { KeepsFrame<200'000>(1, [] { YieldToResumer(); }); }));
        const NoMoreMemory limited;
        for (Coroutine* co : deep) Resume(*co);
      },
      "out of memory while the frames of a parked coroutine were saved");
}

}  // namespace
}  // namespace cogi::coroutine
