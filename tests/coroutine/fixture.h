// What the coroutine tests share: fixtures that leave nothing behind, in both stack modes.
#ifndef COGI_TESTS_COROUTINE_FIXTURE_H_
#define COGI_TESTS_COROUTINE_FIXTURE_H_

#include <dirent.h>
#include <gtest/gtest.h>

#include <memory>

#include "coroutine/scheduler.h"

namespace cogi::coroutine {

inline size_t OpenDescriptors() {
  DIR* folder = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// Frames on a stack that the compiler cannot do away with: fills `size` bytes with a pattern, calls
// `inner`, and tells whether they are still the same.
template <size_t size, class Inner>
[[gnu::noinline]] bool KeepsFrame(unsigned seed, Inner inner) {
  volatile unsigned char bytes[size];
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(seed * 31 + i);
  inner();
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != static_cast<unsigned char>(seed * 31 + i)) return false;
  }
  return true;
}

// A scheduler with a single small pool of shared stacks, so that coroutines collide. TearDown()
// asserts that no coroutine, save buffer or descriptor is left.
class WithScheduler : public ::testing::Test {
 protected:
  virtual SchedulerOptions Options() { return {}; }
  void SetUp() override {
    descriptors_ = OpenDescriptors();
    scheduler_ = std::make_unique<Scheduler>(Options());
  }
  void TearDown() override {
    EXPECT_EQ(scheduler_->live(), 0u) << "coroutines are left";
    EXPECT_EQ(scheduler_->stats().save_bytes, 0u) << "save buffers are left";
    EXPECT_EQ(Current(), nullptr);
    scheduler_.reset();
    EXPECT_EQ(Scheduler::Current(), nullptr);
    EXPECT_EQ(OpenDescriptors(), descriptors_) << "descriptors are left";
  }
  std::unique_ptr<Scheduler> scheduler_;
  size_t descriptors_ = 0;
};

class InBothStackModes : public WithScheduler, public ::testing::WithParamInterface<StackMode> {
 protected:
  SchedulerOptions Options() override {
    SchedulerOptions options;
    options.shared_stacks = 2;
    return options;
  }
  SpawnOptions Mode() const {
    SpawnOptions options;
    options.stack_mode = GetParam();
    return options;
  }
  template <class Body>
  Coroutine* Go(Body&& body) {
    return scheduler_->Spawn(std::forward<Body>(body), Mode());
  }
};

inline std::string StackModeName(const ::testing::TestParamInfo<StackMode>& info) {
  return info.param == StackMode::kShared ? "SharedStack" : "PrivateStack";
}

#define COGI_IN_BOTH_STACK_MODES(suite) \
  INSTANTIATE_TEST_SUITE_P(             \
      Mode, suite, ::testing::Values(StackMode::kShared, StackMode::kPrivate), StackModeName)

}  // namespace cogi::coroutine

#endif  // COGI_TESTS_COROUTINE_FIXTURE_H_
