// Names without memory: whichever allocation of a question to DNS fails, in the hooks, in c-ares or
// in what c-ares calls back, the question ends with EAI_MEMORY or its answer, and the next one is
// answered.
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cstdio>
#include <functional>

#include "coroutine/sanitizers.h"
#include "coroutine/scheduler.h"
#include "tests/hooks/resolver/dns_server.h"
#include "tests/hooks/system_calls/failing_allocator.h"

namespace cogi::tests {
namespace {

using coroutine::StackMode;

class ResolverMemory : public testing::TestWithParam<StackMode> {
 protected:
  void SetUp() override {
    WriteFile("nsswitch.conf", "hosts: files dns\n");
    WriteFile("hosts", "127.0.0.1 localhost\n");
  }
  // Another file is another configuration, with a channel of its own.
  static void Use(const DnsProxy& proxy) {
    WriteFile("resolv.conf", "nameserver " + proxy.address() + "\noptions timeout:1\n");
  }
  static void InCoroutine(const std::function<void()>& work) {
    coroutine::Scheduler scheduler;
    scheduler.Spawn(work, {.stack_mode = GetParam()});
    scheduler.Run();
  }
};
INSTANTIATE_TEST_SUITE_P(StackModes, ResolverMemory,
                         testing::Values(StackMode::kShared, StackMode::kPrivate),
                         [](const auto& param) {
                           return param.param == StackMode::kShared ? "Shared" : "Private";
                         });

int Addresses() {
  addrinfo *list = nullptr, hints{};
  hints.ai_socktype = SOCK_STREAM;
  const int outcome = getaddrinfo("www.example.test", "80", &hints, &list);
  if (outcome != 0) return outcome;
  int count = 0;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) ++count;
  freeaddrinfo(list);
  return count == 2 ? 0 : 1000 + count;  // an IPv4 and an IPv6 address
}

int NameOfAddress() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0xc000020a);  // 192.0.2.10
  char name[NI_MAXHOST];
  return getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof address, name, sizeof name,
                     nullptr, 0, NI_NAMEREQD);
}

TEST_P(ResolverMemory, OfAnyAllocationGivesEaiMemoryOrTheAnswer) {
#if COGI_SANITIZED
  GTEST_SKIP() << "the sanitizer's allocator stands before the failing one";
#endif
  const DnsProxy proxy(0);
  constexpr int kMost = 500;
  for (int (*ask)() : {Addresses, NameOfAddress}) {
    Use(proxy);
    InCoroutine([&] { EXPECT_EQ(ask(), 0); });  // what is made once and kept
    for (const bool for_good : {false, true}) {
      int points = 0, refused = 0;
      bool reached = true;
      for (int nth = 1; reached && nth < kMost; ++nth) {
        Use(proxy);
        int outcome = 0, after = 0;
        InCoroutine([&] {
          {
            FailingAllocations failing(nth, for_good);
            outcome = ask();
            reached = failing.any_failed();
          }
          after = ask();
        });
        EXPECT_TRUE(outcome == 0 || outcome == EAI_MEMORY)
            << "allocation " << nth << ": " << outcome << ' ' << gai_strerror(outcome);
        EXPECT_EQ(after, 0) << "after allocation " << nth << " failed: " << gai_strerror(after);
        points += reached;
        refused += outcome != 0;
      }
      EXPECT_FALSE(reached) << "it allocates without end";
      EXPECT_GT(refused, 10);
      printf("  %3d allocations failed, %3d questions with them\n", points, refused);
    }
  }
}

}  // namespace
}  // namespace cogi::tests
