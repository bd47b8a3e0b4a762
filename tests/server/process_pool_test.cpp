// The processes of a route without a server around them.
#include "server/upstream/process_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>

#include "coroutine/scheduler.h"
#include "tests/server/slow_files.h"

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

// Neither takes the process that the other is just starting for one at rest.
TEST(ProcessPool, TwoThatComeAtOnceGetAProcessEach) {
  const SlowFiles slow(2000);
  config::Route route;
  route.form = config::Form::kUpstream;
  route.upstream.command = {"/bin/sleep", "60"};
  route.upstream.max_processes = 2;
  route.timeouts.queue = std::chrono::seconds(2);
  coroutine::Scheduler scheduler;
  ProcessPool pool(route);
  std::set<std::string> names;
  int taken = 0;
  const auto take = [&] {
    LinkRefusal refusal;
    std::unique_ptr<Link> link = pool.Take(false, &refusal);
    ++taken;
    if (link == nullptr) {
      ADD_FAILURE() << refusal.status << ": " << refusal.reason;
      return;
    }
    names.insert(pool.NameOf(*link));
    while (taken < 2) coroutine::SleepFor(std::chrono::milliseconds(1));
    pool.Return(std::move(link), LinkEnd::kFailed);  // it has not answered: it is ended
  };
  scheduler.Spawn(take);
  scheduler.Spawn(take);
  scheduler.Run();
  EXPECT_EQ(names.size(), 2U);
}

}  // namespace
}  // namespace cogi::server
