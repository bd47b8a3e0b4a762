// Without a descriptor to be had (EMFILE, by RLIMIT_NOFILE) each call that makes some fails as it
// does natively, leaves nothing open, and works again afterwards; calls that need none work.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "coroutine/scheduler.h"

namespace cogi::tests {
namespace {

using coroutine::StackMode;

int OpenDescriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
  return open;
}

// While it lives, `left` more descriptors can be opened.
class Limit {
 public:
  explicit Limit(int left) {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    for (now.rlim_cur = 0; left >= 0; ++now.rlim_cur)
      left -= fcntl(static_cast<int>(now.rlim_cur), F_GETFD) < 0;
    --now.rlim_cur;
    setrlimit(RLIMIT_NOFILE, &now);
  }
  ~Limit() { setrlimit(RLIMIT_NOFILE, &before_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  rlimit before_{};
};

std::string Told(long result) {
  return std::to_string(result) + (result == -1 ? std::string(" ") + strerrorname_np(errno) : "");
}

// Closes what a call has made, and tells only that it has made something.
std::string Made(int fd) {
  if (fd < 0) return Told(fd);
  close(fd);
  return "made";
}
std::string MadeTwo(int result, const int* ends) {
  if (result != 0) return Told(result);
  close(ends[0]);
  close(ends[1]);
  return "made";
}

// A listener to which somebody has connected, and the client.
struct Waiting {
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  Waiting() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener, 4) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        connect(client, reinterpret_cast<sockaddr*>(&address), size) != 0)
      perror("a connection that waits");
  }
  ~Waiting() {
    close(listener);
    close(client);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
};

struct Case {
  const char* name;
  int left;  // descriptors that can still be opened
  // Prepares, and returns what is to be called without descriptors and again with some.
  std::function<std::function<std::string()>()> prepare;
};

std::function<std::function<std::string()>()> Plain(std::string (*call)()) {
  return [call] { return call; };
}

const Case kCases[] = {
    {"socket", 0, Plain([] { return Made(socket(AF_INET, SOCK_STREAM, 0)); })},
    {"socketpair", 1, Plain([] {
       int ends[2];
       return MadeTwo(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ends);
     })},
    {"pipe", 1, Plain([] {
       int ends[2];
       return MadeTwo(pipe(ends), ends);
     })},
    {"pipe2", 0, Plain([] {
       int ends[2];
       return MadeTwo(pipe2(ends, O_CLOEXEC), ends);
     })},
    {"accept", 0,
     [] {
       auto waiting = std::make_shared<Waiting>();
       return [waiting] { return Made(accept(waiting->listener, nullptr, nullptr)); };
     }},
    {"accept4", 0,
     [] {
       auto waiting = std::make_shared<Waiting>();
       return
           [waiting] { return Made(accept4(waiting->listener, nullptr, nullptr, SOCK_CLOEXEC)); };
     }},
    {"dup", 0, Plain([] { return Made(dup(0)); })},
    {"dup2 beyond the limit", 0, Plain([] { return Made(dup2(0, 1000)); })},
    // From 0 on: one from beyond the limit would be EINVAL, and where that lies depends on what the
    // process has inherited.
    {"fcntl F_DUPFD", 0, Plain([] { return Made(fcntl(0, F_DUPFD_CLOEXEC, 0)); })},
    {"eventfd", 0, Plain([] { return Made(eventfd(0, 0)); })},
    {"timerfd_create", 0, Plain([] { return Made(timerfd_create(CLOCK_MONOTONIC, 0)); })},
    {"signalfd", 0, Plain([] {
       sigset_t none;
       sigemptyset(&none);
       return Made(signalfd(-1, &none, 0));
     })},
    {"epoll_create1", 0, Plain([] { return Made(epoll_create1(0)); })},
    {"inotify_init1", 0, Plain([] { return Made(inotify_init1(0)); })},
    {"memfd_create", 0, Plain([] { return Made(memfd_create("none", 0)); })},
    {"open", 0, Plain([] { return Made(open("/dev/null", O_RDONLY)); })},
    {"popen", 1, Plain([]() -> std::string {
       FILE* stream = popen("exit 3", "r");
       return stream == nullptr ? Told(-1) : std::to_string(pclose(stream));
     })},
    {"getaddrinfo of a number", 0, Plain([] {
       addrinfo *list = nullptr, hints{};
       hints.ai_flags = AI_NUMERICHOST;
       const int outcome = getaddrinfo("127.0.0.1", "80", &hints, &list);
       if (list != nullptr) freeaddrinfo(list);
       return std::to_string(outcome);
     })},
    // These need no descriptor; the hooks of some would like one.
    {"waitpid", 0, Plain([] {
       const pid_t pid = fork();
       if (pid == 0) {
         usleep(2'000);
         _exit(3);
       }
       int status = 0;
       const bool right = waitpid(pid, &status, 0) == pid;
       return std::to_string(right) + ' ' + std::to_string(status);
     })},
    {"sem_timedwait", 0, Plain([] {
       sem_t semaphore;
       sem_init(&semaphore, 0, 0);
       timespec soon{};
       clock_gettime(CLOCK_REALTIME, &soon);
       soon.tv_nsec = std::min(soon.tv_nsec + 2'000'000, 999'999'999L);
       return Told(sem_timedwait(&semaphore, &soon));
     })},
    {"poll", 0, Plain([] {
       pollfd one{0, 0, 0};
       return Told(poll(&one, 1, 2));
     })},
};

struct Outcome {
  std::string without, with;
  int left_open = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome RunHere(const Case& one) {
  Outcome outcome;
  const int before = OpenDescriptors();
  {
    const auto call = one.prepare();
    const int prepared = OpenDescriptors();
    {
      Limit limit(one.left);
      outcome.without = call();
      // Nothing is left open in the want, either.
      outcome.left_open = OpenDescriptors() - prepared;
    }
    outcome.with = call();
  }
  outcome.left_open += OpenDescriptors() - before;
  return outcome;
}

Outcome RunInCoroutine(const Case& one, StackMode mode) {
  Outcome outcome;
  coroutine::Scheduler scheduler;
  scheduler.Spawn([&] { outcome = RunHere(one); }, {.stack_mode = mode});
  scheduler.Run();
  return outcome;
}

TEST(WantOfDescriptors, GivesWhatItGivesNatively) {
  // What the first use of some calls opens for good (the event that semaphores are waited for by).
  for (const Case& one : kCases) RunInCoroutine(one, StackMode::kShared);
  int failed = 0;
  for (const Case& one : kCases) {
    const Outcome native = RunHere(one);
    failed += native.without != native.with;
    EXPECT_EQ(native.left_open, 0) << one.name;
    for (const auto mode : {StackMode::kShared, StackMode::kPrivate}) {
      const Outcome hooked = RunInCoroutine(one, mode);
      EXPECT_EQ(hooked.without, native.without) << one.name << " without descriptors";
      EXPECT_EQ(hooked.with, native.with) << one.name << " with descriptors again";
      EXPECT_EQ(hooked.left_open, 0) << one.name;
    }
  }
  EXPECT_GE(failed, 16) << "the limit did not hold";
}

// In a coroutine a name needs a socket or the hosts file; without either it is not found, and that
// costs nothing: the same question is answered as soon as there are descriptors again.
TEST(WantOfDescriptors, OfANameIsTemporary) {
  coroutine::Scheduler scheduler;
  scheduler.Spawn([] {
    const auto ask = [] {
      addrinfo* list = nullptr;
      const int outcome = getaddrinfo("localhost", "80", nullptr, &list);
      if (list != nullptr) freeaddrinfo(list);
      return outcome;
    };
    ASSERT_EQ(ask(), 0);
    const int before = OpenDescriptors();
    for (int left = 0; left < 3; ++left) {
      Limit limit(left);
      ask();  // from what is known, or not at all
    }
    EXPECT_EQ(ask(), 0);
    EXPECT_EQ(OpenDescriptors(), before);
  });
  scheduler.Run();
}

}  // namespace
}  // namespace cogi::tests
