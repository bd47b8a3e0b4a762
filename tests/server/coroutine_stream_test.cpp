#include "server/coroutine_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "coroutine/scheduler.h"
#include "server/real_calls.h"

namespace cogi::server {
namespace {

// A peer that always has room must not keep the thread to one coroutine.
TEST(CoroutineStream, WritesThatNeedNotWaitLetOthersRun) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd own(ends[0]);
  const UniqueFd peer(ends[1]);
  coroutine::SchedulerOptions options;
  options.call_budget = 10;
  coroutine::Scheduler scheduler(options);
  bool done = false;
  int turns = 0;
  scheduler.Spawn([&] {
    CoroutineStream stream(own.get());
    char byte = 'x';
    for (int count = 0; count < 100; ++count) {
      iovec piece{&byte, 1};
      ASSERT_TRUE(stream.Write(&piece, 1));
    }
    done = true;
  });
  scheduler.Spawn([&] {
    for (; !done; ++turns) coroutine::Yield();
  });
  scheduler.Run();
  EXPECT_GE(turns, 5);
}

}  // namespace
}  // namespace cogi::server
