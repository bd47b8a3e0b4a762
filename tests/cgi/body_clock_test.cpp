#include "cgi/body_clock.h"

#include <gtest/gtest.h>

namespace cogi::cgi {
namespace {

using std::chrono::milliseconds;

Limits LimitsWith(uint64_t least_rate) {
  Limits limits;
  limits.body_idle = milliseconds(30'000);
  limits.body_min_rate = least_rate;
  return limits;
}

TEST(BodyClock, ALargeBodyEarnsNoMoreThanTheIdleTimeAtAnyRate) {
  for (const uint64_t rate : {0, 1, 1024}) {
    const Limits limits = LimitsWith(rate);
    for (const uint64_t received : {uint64_t{10} << 30, uint64_t{1} << 62}) {
      BodyClock clock;
      clock.Start(limits);
      const Deadline now = std::chrono::steady_clock::now();
      clock.Waited(now, received);
      EXPECT_EQ(clock.Until(now) - now, limits.body_idle) << received << " at " << rate;
    }
  }
}

TEST(BodyClock, ASlowBodyIsGivenUpOnceTheIdleTimeIsSpent) {
  const Limits limits = LimitsWith(1000);
  BodyClock clock;
  clock.Start(limits);
  const Deadline now = std::chrono::steady_clock::now();
  clock.Waited(now - milliseconds(31'000), 500);  // which have earned half a second
  EXPECT_EQ(clock.Until(now), now);
  clock.Waited(std::chrono::steady_clock::now(), 10'000);
  EXPECT_GT(clock.Until(now), now + milliseconds(8'000));
}

}  // namespace
}  // namespace cogi::cgi
