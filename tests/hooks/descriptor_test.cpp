// What the descriptor table and the waiting calls promise beyond the single call: closes that wake,
// numbers that are given again, many waiters, fairness, and that nothing outlives a coroutine.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/scheduler.h"
#include "hooks/calls.h"

namespace cogi::hooks {
namespace {

using coroutine::Go;
using coroutine::Scheduler;
using coroutine::StackMode;
using std::chrono::milliseconds;

class Descriptors : public testing::TestWithParam<StackMode> {
 protected:
  Descriptors() {
    signal(SIGPIPE, SIG_IGN);
    open_before_ = Open();
  }
  void TearDown() override { EXPECT_EQ(Open(), open_before_) << "a descriptor is left"; }

  // Runs all `bodies` as coroutines on one scheduler until they have ended.
  void Run(std::vector<std::function<void()>> bodies) {
    Scheduler scheduler;
    for (auto& body : bodies) scheduler.Spawn(std::move(body), {.stack_mode = GetParam()});
    scheduler.Run();
  }

  static int Open() {
    int open = 0;
    for (int fd = 0; fd < 4096; ++fd) open += fcntl(fd, F_GETFD) >= 0;
    return open;
  }

 private:
  int open_before_ = 0;
};

INSTANTIATE_TEST_SUITE_P(StackModes, Descriptors,
                         testing::Values(StackMode::kShared, StackMode::kPrivate),
                         [](const auto& param) {
                           return param.param == StackMode::kShared ? "Shared" : "Private";
                         });

TEST_P(Descriptors, CloseWakesEveryReaderWithEbadf) {
  int ends[2] = {-1, -1};
  int errors[3] = {};
  std::vector<std::function<void()>> bodies;
  bodies.push_back([&] { ASSERT_EQ(pipe(ends), 0); });
  for (int i = 0; i < 3; ++i) {
    bodies.push_back([&, i] {
      char data;
      if (read(ends[0], &data, 1) == -1) errors[i] = errno;
    });
  }
  bodies.push_back([&] {
    usleep(5'000);
    close(ends[0]);
    close(ends[1]);
  });
  Run(std::move(bodies));
  for (const int error : errors) EXPECT_EQ(error, EBADF);
}

TEST_P(Descriptors, CloseIsPollnvalForWhoPolls) {
  int ends[2] = {-1, -1};
  short events = 0;
  int ready = -1;
  Run({[&] {
         ASSERT_EQ(pipe(ends), 0);
         pollfd one{ends[0], POLLIN, 0};
         ready = poll(&one, 1, 5000);
         events = one.revents;
       },
       [&] {
         usleep(5'000);
         close(ends[0]);
         close(ends[1]);
       }});
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(events, POLLNVAL);
}

// The reader was woken for data, but before its turn comes the number is closed and given to
// another pipe. Events are dispatched in the order in which they came: whoever closes runs first.
TEST_P(Descriptors, ANumberThatIsGivenAgainDoesNotFeedTheOldReader) {
  ssize_t old_got = 0;
  int old_error = 0, left = -1;
  Run({[&] {
    int go[2], ends[2];
    ASSERT_EQ(pipe(go), 0);
    ASSERT_EQ(pipe(ends), 0);
    Go([&, start = go[0], reader = ends[0], writer = ends[1]] {
      char data;
      ASSERT_EQ(read(start, &data, 1), 1);
      close(reader);
      close(writer);
      int again[2];
      ASSERT_EQ(pipe(again), 0);
      ASSERT_EQ(again[0], reader);
      ASSERT_EQ(write(again[1], "yz", 2), 2);
      usleep(5'000);  // the old reader's turn
      ASSERT_EQ(ioctl(again[0], FIONREAD, &left), 0);
      close(again[0]);
      close(again[1]);
    });
    Go([&, reader = ends[0]] {
      char data[4];
      old_got = read(reader, data, sizeof data);
      old_error = errno;
    });
    usleep(5'000);
    ASSERT_EQ(write(go[1], "x", 1), 1);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    usleep(20'000);
    close(go[0]);
    close(go[1]);
  }});
  EXPECT_EQ(old_got, -1);
  EXPECT_EQ(old_error, EBADF);
  EXPECT_EQ(left, 2) << "the old reader has taken what was written for another";
}

TEST_P(Descriptors, Dup2OverADescriptorWakesWhoWaitsForIt) {
  int error = 0;
  Run({[&] {
    int a[2], b[2];
    ASSERT_EQ(pipe(a), 0);
    ASSERT_EQ(pipe(b), 0);
    Go([&error, reader = a[0]] {
      char data;
      if (read(reader, &data, 1) == -1) error = errno;
    });
    usleep(5'000);
    EXPECT_EQ(dup2(b[0], a[0]), a[0]);
    usleep(5'000);
    EXPECT_EQ(error, EBADF) << "the close below would wake it, too";
    for (const int fd : {a[0], a[1], b[0], b[1]}) close(fd);
  }});
  EXPECT_EQ(error, EBADF);
}

TEST_P(Descriptors, ReaderAndWriterOfOneSocketWaitAtTheSameTime) {
  size_t received = 0;
  std::string answer;
  Run({[&] {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Go([&answer, fd = ends[0]] {  // reads on the socket while the other writes on it
      char data[16];
      const ssize_t got = read(fd, data, sizeof data);
      answer.assign(data, got > 0 ? static_cast<size_t>(got) : 0);
    });
    Go([&received, fd = ends[1]] {
      usleep(5'000);
      char data[65536];
      while (received < 4 << 20) {
        const ssize_t got = read(fd, data, sizeof data);
        if (got <= 0) return;
        received += static_cast<size_t>(got);
      }
      EXPECT_EQ(write(fd, "thanks", 6), 6);
    });
    const std::string data(4 << 20, 'x');
    EXPECT_EQ(write(ends[0], data.data(), data.size()), 4 << 20);
    while (answer.empty()) usleep(1'000);
    close(ends[0]);
    close(ends[1]);
  }});
  EXPECT_EQ(answer, "thanks");
}

TEST_P(Descriptors, APeerThatAlwaysHasDataDoesNotStarveTheOthers) {
  int64_t turns = 0;
  bool stop = false;
  Run({[&] {
         const int zero = open("/dev/zero", O_RDONLY);
         char data[16];
         while (!stop) ASSERT_EQ(read(zero, data, sizeof data), 16);
         close(zero);
       },
       [&] {
         for (int i = 0; i < 10; ++i) {
           usleep(1'000);
           ++turns;
         }
         stop = true;
       }});
  EXPECT_EQ(turns, 10);
}

TEST_P(Descriptors, AnEpollOfTheProgramsOwnParksOnlyItsCoroutine) {
  int ends[2] = {-1, -1}, ready = -1;
  Run({[&] {
         ASSERT_EQ(pipe(ends), 0);
         const int epoll = epoll_create1(0);
         epoll_event event{};
         event.events = EPOLLIN | EPOLLET;
         EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
         ready = epoll_wait(epoll, &event, 1, -1);
         close(epoll);
       },
       [&] {
         usleep(5'000);
         EXPECT_EQ(write(ends[1], "x", 1), 1);
         usleep(5'000);
         close(ends[0]);
         close(ends[1]);
       }});
  EXPECT_EQ(ready, 1);
}

TEST_P(Descriptors, ACancelledCallFailsWithEcanceled) {
  int error = 0;
  Run({[&] {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    coroutine::Coroutine* reader = Go([&, fd = ends[0]] {
      char data;
      if (read(fd, &data, 1) == -1) error = errno;
    });
    usleep(5'000);
    coroutine::Cancel(*reader);
    usleep(5'000);
    close(ends[0]);
    close(ends[1]);
  }});
  EXPECT_EQ(error, ECANCELED);
}

TEST_P(Descriptors, AThreadFindsASocketMadeInACoroutineBlocking) {
  ssize_t got = 0, put = 0;
  int ends[2] = {-1, -1};
  Run({[&] { ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }});
  std::thread writer([&] {
    const std::string data(1 << 20, 'x');
    put = write(ends[1], data.data(), data.size());
  });
  char data[4096];
  while (got < 1 << 20) {
    const ssize_t part = read(ends[0], data, sizeof data);
    ASSERT_GT(part, 0);
    got += part;
  }
  writer.join();
  EXPECT_EQ(put, 1 << 20);
  close(ends[0]);
  close(ends[1]);
}

TEST_P(Descriptors, AForkedChildFindsItsCallsUnhooked) {
  int status = -1;
  Run({[&] {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      usleep(20'000);
      _exit(write(ends[1], "x", 1) == 1 && coroutine::Current() == nullptr ? 42 : 1);
    }
    char data;
    EXPECT_EQ(read(ends[0], &data, 1), 1);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
  }});
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
}

// libco gives up after a second that nobody asked for.
TEST_P(Descriptors, AReadWithoutATimeoutWaitsAsLongAsItTakes) {
  ssize_t got = 0;
  Run({[&] {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Go([writer = ends[1]] {
      usleep(1'300'000);
      EXPECT_EQ(write(writer, "late", 4), 4);
    });
    char data[8];
    got = read(ends[0], data, sizeof data);
    usleep(1'000);
    close(ends[0]);
    close(ends[1]);
  }});
  EXPECT_EQ(got, 4);
}

// libco keeps what it knew of the number, and takes the next file with it for the old one.
TEST_P(Descriptors, AnUnhookedCloseForgetsTheDescriptorToo) {
  int old[2] = {-1, -1};
  Run({[&] {
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, old), 0);
    const timeval short_time{0, 5'000};
    ASSERT_EQ(setsockopt(old[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time), 0);
    char data;
    EXPECT_EQ(read(old[0], &data, 1), -1);
  }});
  close(old[0]);  // outside coroutines
  close(old[1]);
  int fresh[2];
  ASSERT_EQ(pipe(fresh), 0);
  ASSERT_EQ(syscall(SYS_dup3, fresh[0], old[0], 0), old[0]);  // nobody tells the table of this
  ssize_t got = 0;
  Run({[&] {
         char data;
         got = read(old[0], &data, 1);
       },
       [&] {
         usleep(50'000);
         EXPECT_EQ(write(fresh[1], "x", 1), 1);
       }});
  EXPECT_EQ(got, 1);
  for (const int fd : {old[0], fresh[0], fresh[1]}) close(fd);
}

// libco's table ends at 102,400. (Who may not raise the limit tries the highest number there is.)
TEST_P(Descriptors, ThousandsOfDescriptorsWorkWhateverTheirNumber) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit more{200'000, std::max<rlim_t>(200'000, limit.rlim_max)};
  if (limit.rlim_max < 200'000 && setrlimit(RLIMIT_NOFILE, &more) == 0) limit = more;
  const int high_number = static_cast<int>(std::min<rlim_t>(limit.rlim_max, 200'000)) - 10;
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ssize_t got = 0;
  Run({[&] {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const int high = fcntl(ends[0], F_DUPFD, high_number);
    ASSERT_GE(high, high_number);
    Go([writer = ends[1]] {
      usleep(5'000);
      EXPECT_EQ(write(writer, "abc", 3), 3);
    });
    char data[8];
    got = read(high, data, sizeof data);
    usleep(1'000);
    for (const int fd : {high, ends[0], ends[1]}) close(fd);
  }});
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(got, 3);
}

TEST_P(Descriptors, EmfileIsReportedAndTheTableStaysConsistent) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit before = limit;
  Run({[&] {
    int first[2];
    ASSERT_EQ(pipe(first), 0);
    limit.rlim_cur = static_cast<rlim_t>(first[1] + 1);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int ends[2];
    EXPECT_EQ(pipe(ends), -1);
    EXPECT_EQ(errno, EMFILE);
    EXPECT_EQ(socket(AF_INET, SOCK_STREAM, 0), -1);
    EXPECT_EQ(errno, EMFILE);
    EXPECT_EQ(dup(first[0]), -1);
    EXPECT_EQ(errno, EMFILE);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_EQ(write(first[1], "x", 1), 1);
    char data;
    EXPECT_EQ(read(first[0], &data, 1), 1);
    close(first[0]);
    close(first[1]);
  }});
}

TEST_P(Descriptors, ManyAcceptersShareOneListener) {
  constexpr int kAccepters = 5;
  int accepted = 0;
  Run({[&] {
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr address{};
    address.sa_family = AF_UNIX;
    ASSERT_EQ(bind(listener, &address, sizeof(sa_family_t)),
              0);  // an abstract name of the kernel's choice
    ASSERT_EQ(listen(listener, 16), 0);
    struct sockaddr_storage name {};
    socklen_t size = sizeof name;
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size), 0);
    for (int i = 0; i < kAccepters; ++i) {
      Go([&accepted, listener] {
        const int peer = accept(listener, nullptr, nullptr);
        if (peer < 0) return;
        ++accepted;
        close(peer);
      });
    }
    usleep(2'000);
    for (int i = 0; i < kAccepters; ++i) {
      const int client = socket(AF_UNIX, SOCK_STREAM, 0);
      EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&name), size), 0);
      close(client);
    }
    while (accepted < kAccepters) usleep(1'000);
    close(listener);
  }});
  EXPECT_EQ(accepted, kAccepters);
}

TEST(Calls, AreCountedInsideCoroutinesOnly) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const uint64_t before = CallCount(Call::write);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(CallCount(Call::write), before);
  Scheduler scheduler;
  scheduler.Spawn([&] { ASSERT_EQ(write(ends[1], "x", 1), 1); });
  scheduler.Spawn([&] { ASSERT_EQ(write(ends[1], "x", 1), 1); }, {.hooks = false});
  scheduler.Run();
  EXPECT_EQ(CallCount(Call::write), before + 1);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace cogi::hooks
