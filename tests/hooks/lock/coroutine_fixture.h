// Runs bodies in coroutines of one scheduler, in either stack mode, and checks that nothing is left
// of them.
#ifndef COGI_TESTS_HOOKS_LOCK_COROUTINE_FIXTURE_H_
#define COGI_TESTS_HOOKS_LOCK_COROUTINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "coroutine/scheduler.h"

namespace cogi::tests {

using coroutine::SleepFor;
using coroutine::StackMode;
using std::chrono::milliseconds;

class InCoroutines : public testing::TestWithParam<StackMode> {
 protected:
  // Go() starts `body` as a coroutine; Run() runs all that were started until they have ended.
  void Go(std::function<void()> body) {
    scheduler_.Spawn(std::move(body), {.stack_mode = GetParam()});
  }
  void Run() {
    scheduler_.Run();
    EXPECT_EQ(scheduler_.live(), 0u);
  }

  coroutine::Scheduler scheduler_;
};

inline std::string NameOfMode(const testing::TestParamInfo<StackMode>& info) {
  return info.param == StackMode::kShared ? "Shared" : "Private";
}

#define COGI_BOTH_STACK_MODES(fixture)                                                            \
  INSTANTIATE_TEST_SUITE_P(                                                                       \
      Stacks, fixture,                                                                            \
      testing::Values(cogi::coroutine::StackMode::kShared, cogi::coroutine::StackMode::kPrivate), \
      cogi::tests::NameOfMode)

}  // namespace cogi::tests

#endif  // COGI_TESTS_HOOKS_LOCK_COROUTINE_FIXTURE_H_
