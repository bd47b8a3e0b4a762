#include "tests/hooks/transparency/suite.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <signal.h>

#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "coroutine/sanitizers.h"
#include "coroutine/scheduler.h"
#include "hooks/calls.h"

namespace cogi::hooks::transparency {
namespace {

std::vector<std::thread>& Threads() {
  static std::vector<std::thread> threads;
  return threads;
}

void JoinThreads() {
  for (std::thread& thread : Threads()) thread.join();
  Threads().clear();
}

Outcome RunNatively(const Case& one) {
  const Outcome outcome = one.run();
  JoinThreads();
  return outcome;
}

Outcome RunInCoroutine(const Case& one, coroutine::StackMode mode) {
  Outcome outcome;
  {
    coroutine::Scheduler scheduler;
    // A second coroutine, so that a shared stack is really taken away while the first is parked.
    bool done = false;
    scheduler.Spawn(
        [&] {
          outcome = one.run();
          done = true;
        },
        {.stack_mode = mode});
    scheduler.Spawn(
        [&] {
          while (!done) coroutine::SleepFor(std::chrono::milliseconds(1));
        },
        {.stack_mode = mode});
    scheduler.Run();
  }
  JoinThreads();
  return outcome;
}

std::string Text(const Outcome& outcome) {
  const char* name = outcome.error == 0 ? "" : strerrorname_np(outcome.error);
  return std::to_string(outcome.result) + " " + (name == nullptr ? "?" : name) + " " +
         outcome.detail;
}

int OpenDescriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
  return open;
}

}  // namespace

void Later(int milliseconds, std::function<void()> work) {
  Threads().emplace_back([milliseconds, work = std::move(work)] {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    work();
  });
}

Listener::Listener(int backlog) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  address_.sin_family = AF_INET;
  address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(fd_, Address(address_), sizeof address_);
  listen(fd_, backlog);
  socklen_t size = sizeof address_;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size);
}

void Listener::ConnectLater(int milliseconds, std::string data, int linger_ms) const {
  Later(milliseconds, [address = address_, data = std::move(data), linger_ms] {
    const Fd client(socket(AF_INET, SOCK_STREAM, 0));
    if (connect(client, Address(address), sizeof address) != 0) return;
    if (send(client, data.data(), data.size(), MSG_NOSIGNAL) < 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(linger_ms));
  });
}

TEST(Transparency, EveryCaseGivesTheSameInACoroutineAsNatively) {
  signal(SIGPIPE, SIG_IGN);
  // A thread whose coroutines have waited for a semaphore keeps an eventfd for the next time.
  RunInCoroutine({"", "",
                  [] {
                    sem_t semaphore;
                    sem_init(&semaphore, 0, 0);
                    const timespec past{0, 0};
                    return Result(sem_timedwait(&semaphore, &past));
                  }},
                 coroutine::StackMode::kPrivate);
  const int open_before = OpenDescriptors();
  for (const Case& one : Cases()) {
    if (const char* only = getenv("COGI_ONLY");
        only != nullptr &&
        (std::string(one.call) + ": " + one.name).find(only) == std::string::npos)
      continue;
    if (getenv("COGI_VERBOSE") != nullptr) fprintf(stderr, "%s: %s\n", one.call, one.name);
    const Outcome native = RunNatively(one);
    for (const auto mode : {coroutine::StackMode::kShared, coroutine::StackMode::kPrivate}) {
      const Outcome hooked = RunInCoroutine(one, mode);
      EXPECT_EQ(native, hooked) << one.call << ": " << one.name
                                << "\n  natively:     " << Text(native)
                                << "\n  in coroutine: " << Text(hooked);
    }
    EXPECT_EQ(OpenDescriptors(), open_before) << one.call << ": " << one.name << " leaks";
  }
}

TEST(Transparency, EveryHookedCallHasACase) {
  std::map<std::string, int> cases;
  for (const Case& one : Cases()) ++cases[one.call];
  for (size_t i = 0; i < static_cast<size_t>(Call::kCount); ++i) {
    const CallInfo& info = InfoOf(static_cast<Call>(i));
    EXPECT_GT(cases[info.name], 0) << "no case for " << info.name;
    printf("  %-24s %d cases\n", info.name, cases[info.name]);
  }
}

// The library in which a symbol is found that a program binds by that name; "" if there is none.
std::string LibraryOf(void* address) {
  Dl_info found{};
  return address != nullptr && dladdr(address, &found) != 0 ? found.dli_fname : "";
}

// Under a sanitizer a program binds to the sanitizer's function where it has one, which calls the
// next: it must be ours.
std::string FirstLibraryOf(const char* name) {
  std::string library = LibraryOf(dlsym(RTLD_DEFAULT, name));
#if COGI_SANITIZED
  if (library.find("libasan") != library.npos || library.find("libtsan") != library.npos) {
    void* ours =
        dlopen(LibraryOf(reinterpret_cast<void*>(&InfoOf)).c_str(), RTLD_NOW | RTLD_NOLOAD);
    library = LibraryOf(dlsym(ours, name));
    dlclose(ours);
  }
#endif
  return library;
}

TEST(Transparency, EveryNameOfTheTableIsOurs) {
  const auto is_ours = [](const char* name) {
    return FirstLibraryOf(name).find("libcogi") != std::string::npos;
  };
  for (size_t i = 0; i < static_cast<size_t>(Call::kCount); ++i)
    EXPECT_TRUE(is_ours(InfoOf(static_cast<Call>(i)).name)) << InfoOf(static_cast<Call>(i)).name;
  for (const AliasInfo* alias = Aliases(); alias->alias != nullptr; ++alias) {
    EXPECT_TRUE(is_ours(alias->alias)) << alias->alias;
  }
}

}  // namespace cogi::hooks::transparency
