// What of libco's API needs the hooks: environment variables of a coroutine's own, and co_accept().
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "coroutine/libco/co_routine.h"
#include "coroutine/scheduler.h"

namespace cogi::hooks {
namespace {

std::string ValueOf(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "(unset)" : value;
}

class LibcoEnvironment : public testing::TestWithParam<coroutine::StackMode> {
 protected:
  void SetUp() override {
    const char* names[] = {"COGI_TEST_OWN", "COGI_TEST_INHERITED"};
    co_set_env_list(names, 2);
    setenv("COGI_TEST_INHERITED", "of the process", 1);
    setenv("COGI_TEST_COMMON", "first", 1);
  }
  void TearDown() override {
    EXPECT_EQ(scheduler_.live(), 0u);
    for (const char* name : {"COGI_TEST_OWN", "COGI_TEST_INHERITED", "COGI_TEST_COMMON"})
      unsetenv(name);
  }
  coroutine::Scheduler scheduler_;
};

INSTANTIATE_TEST_SUITE_P(StackModes, LibcoEnvironment,
                         testing::Values(coroutine::StackMode::kShared,
                                         coroutine::StackMode::kPrivate));

TEST_P(LibcoEnvironment, ListedNamesAreEachCoroutinesOwn) {
  std::vector<std::string> seen;
  for (const char* mine : {"a", "b", "c"}) {
    scheduler_.Spawn(
        [&seen, mine] {
          seen.push_back(ValueOf("COGI_TEST_OWN"));
          setenv("COGI_TEST_OWN", mine, 1);
          coroutine::Yield();
          EXPECT_EQ(setenv("COGI_TEST_OWN", "kept", 0), 0);
          seen.push_back(ValueOf("COGI_TEST_OWN"));
          unsetenv("COGI_TEST_OWN");
          seen.push_back(ValueOf("COGI_TEST_OWN"));
        },
        {.stack_mode = GetParam()});
  }
  scheduler_.Run();
  EXPECT_EQ(seen, (std::vector<std::string>{"(unset)", "(unset)", "(unset)", "a", "(unset)", "b",
                                            "(unset)", "c", "(unset)"}));
  EXPECT_EQ(ValueOf("COGI_TEST_OWN"), "(unset)");
}

TEST_P(LibcoEnvironment, TheProcesssValueShowsUntilTheCoroutineSetsItsOwn) {
  scheduler_.Spawn(
      [] {
        EXPECT_EQ(ValueOf("COGI_TEST_INHERITED"), "of the process");
        unsetenv("COGI_TEST_INHERITED");
        EXPECT_EQ(ValueOf("COGI_TEST_INHERITED"), "(unset)");
      },
      {.stack_mode = GetParam()});
  scheduler_.Run();
  EXPECT_EQ(ValueOf("COGI_TEST_INHERITED"), "of the process");
}

TEST_P(LibcoEnvironment, OtherNamesAndCoroutinesWithoutHooksUseTheProcesss) {
  scheduler_.Spawn([] { setenv("COGI_TEST_COMMON", "second", 1); }, {.stack_mode = GetParam()});
  scheduler_.Spawn([] { setenv("COGI_TEST_OWN", "seen by all", 1); },
                   {.stack_mode = GetParam(), .hooks = false});
  scheduler_.Run();
  EXPECT_EQ(ValueOf("COGI_TEST_COMMON"), "second");
  EXPECT_EQ(ValueOf("COGI_TEST_OWN"), "seen by all");
}

TEST_P(LibcoEnvironment, ValuesEndWithTheirCoroutine) {  // libco leaks them
  const auto generation = [this] {
    for (int i = 0; i < 100; ++i) {
      scheduler_.Spawn([] { setenv("COGI_TEST_OWN", std::string(4096, 'x').c_str(), 1); },
                       {.stack_mode = GetParam()});
      scheduler_.Run();
    }
  };
  generation();
  const size_t before = mallinfo2().uordblks;
  generation();
  EXPECT_LT(mallinfo2().uordblks, before + 100'000);
}

TEST_P(LibcoEnvironment, AnEmptyNameIsRefused) {
  scheduler_.Spawn(
      [] {
        errno = 0;
        EXPECT_EQ(setenv("", "x", 1), -1);
        EXPECT_EQ(errno, EINVAL);
      },
      {.stack_mode = GetParam()});
  scheduler_.Run();
}

TEST(LibcoAccept, ParksOnlyItsCoroutine) {
  coroutine::Scheduler scheduler;
  bool ran_meanwhile = false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  scheduler.Spawn([&] {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    socklen_t size = sizeof address;
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    coroutine::Go([&] {
      ran_meanwhile = true;
      const int client = socket(AF_INET, SOCK_STREAM, 0);
      EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      close(client);
    });
    const int accepted = co_accept(listener, nullptr, nullptr);
    EXPECT_GE(accepted, 0);
    EXPECT_TRUE(ran_meanwhile);
    close(accepted);
    close(listener);
  });
  scheduler.Run();
}

TEST(LibcoAccept, AWriteOfTenMegabytesOnAnAcceptedDescriptorParks) {  // #68, #165
  coroutine::Scheduler scheduler;
  constexpr size_t kSize = 10 << 20;
  size_t received = 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  scheduler.Spawn([&] {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    socklen_t size = sizeof address;
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    coroutine::Go([&] {
      const int client = socket(AF_INET, SOCK_STREAM, 0);
      EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      std::vector<char> block(65536);
      for (ssize_t got; (got = read(client, block.data(), block.size())) > 0;)
        received += static_cast<size_t>(got);
      close(client);
    });
    const int accepted = co_accept(listener, nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    const std::string data(kSize, 'x');
    EXPECT_EQ(write(accepted, data.data(), data.size()), static_cast<ssize_t>(kSize));
    close(accepted);
    close(listener);
  });
  scheduler.Run();
  EXPECT_EQ(received, kSize);
}

}  // namespace
}  // namespace cogi::hooks
