#include "coroutine/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace cogi::coroutine {
namespace {

constexpr int64_t kMillisecond = 1'000'000, kSecond = 1000 * kMillisecond;

TEST(TimerWheel, KnowsTheNextDeadlineToTheNanosecondHoweverFar) {
  for (const int64_t wait : {int64_t{1}, kMillisecond, 600 * kSecond, 25 * 86400 * kSecond,
                             int64_t{200} * 365 * 86400 * kSecond}) {
    const int64_t now = 123'456'789'012'345;
    TimerWheel wheel(now);
    TimerNode node;
    wheel.Arm(node, now + wait);
    EXPECT_EQ(wheel.NextDeadline(), now + wait);
    EXPECT_EQ(wheel.TakeDue(now + wait - 1), nullptr);
    EXPECT_EQ(wheel.NextDeadline(), now + wait);
    EXPECT_EQ(wheel.TakeDue(now + wait), &node);
    EXPECT_EQ(wheel.NextDeadline(), TimerWheel::kNever);
    EXPECT_EQ(wheel.TakeDue(now + wait + wait / 4), nullptr);  // empty for as much as fifty years
  }
}

TEST(TimerWheel, ACancelledTimerCausesNoWakeUp) {
  TimerWheel wheel(0);
  TimerNode early, late;
  wheel.Arm(early, 5 * kSecond);
  wheel.Arm(late, 5 * kSecond + 1000);
  wheel.Cancel(early);
  EXPECT_EQ(wheel.NextDeadline(), 5 * kSecond + 1000);
  wheel.Cancel(late);
  EXPECT_EQ(wheel.NextDeadline(), TimerWheel::kNever);
  EXPECT_EQ(wheel.armed(), 0u);
}

TEST(TimerWheel, AgreesWithASortedMapOnRandomTimers) {
  std::mt19937_64 random(42);
  int64_t now = 1'000 * kSecond;
  TimerWheel wheel(now);
  std::vector<TimerNode> nodes(2000);
  std::multimap<int64_t, TimerNode*> model;
  for (int step = 0; step < 20000; ++step) {
    TimerNode& node = nodes[random() % nodes.size()];
    if (node.prev != nullptr) {
      auto [at, end] = model.equal_range(node.deadline);
      while (at != end && at->second != &node) ++at;
      ASSERT_NE(at, model.end());
      model.erase(at);
      wheel.Cancel(node);
    } else {
      const int64_t wait = static_cast<int64_t>(random() >> (random() % 40 + 8)) % (1000 * kSecond);
      const int64_t deadline = now + wait - (random() % 50 == 0 ? kSecond : 0);
      wheel.Arm(node, deadline);
      model.emplace(deadline, &node);
    }
    ASSERT_EQ(wheel.NextDeadline(), model.empty() ? TimerWheel::kNever : model.begin()->first);
    if (step % 7 != 0) continue;
    now += static_cast<int64_t>(random() >> (random() % 40 + 20)) % (10 * kSecond);
    for (TimerNode* due = wheel.TakeDue(now); due != nullptr; due = due->next) {
      ASSERT_FALSE(model.empty());
      ASSERT_EQ(due->deadline, model.begin()->first);
      ASSERT_LE(due->deadline, now);
      auto at = model.begin();
      while (at->second != due) ++at;
      model.erase(at);
    }
    ASSERT_TRUE(model.empty() || model.begin()->first > now);
  }
}

}  // namespace
}  // namespace cogi::coroutine
