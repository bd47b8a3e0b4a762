// The processes of a route without a server around them.
#include "server/upstream/process_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>

#include "coroutine/scheduler.h"

namespace cogi::server {
namespace {

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

// Each start that fails so would leave a dead process and three descriptors behind.
TEST(ProcessPool, AProcessThatNobodyCanWatchIsNotKept) {
  config::Route route;
  route.form = config::Form::kUpstream;
  route.upstream.command = {"/bin/sleep", "60"};
  route.timeouts.queue = std::chrono::milliseconds(350);
  coroutine::SchedulerOptions options;
  options.max_coroutines = 1;  // none is left for a watcher
  coroutine::Scheduler scheduler(options);
  ProcessPool pool(route);
  size_t before = 0, after = 0;
  LinkRefusal refusal;
  scheduler.Spawn([&] {
    before = OpenDescriptors();
    EXPECT_EQ(pool.Take(false, &refusal), nullptr);
    after = OpenDescriptors();
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  });
  scheduler.Run();
  EXPECT_EQ(refusal.status, 503);
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace cogi::server
