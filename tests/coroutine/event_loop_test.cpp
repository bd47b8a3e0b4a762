// Waiting for descriptors.
#include "coroutine/event_loop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

using namespace std::chrono_literals;

class EventLoop : public InBothStackModes {
 protected:
  void SetUp() override {
    InBothStackModes::SetUp();
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair_), 0);
  }
  void TearDown() override {
    for (const int fd : pair_) {
      ForgetFd(fd);
      close(fd);
    }
    InBothStackModes::TearDown();
  }
  // Reads as a hooked read() does.
  static ssize_t Read(int fd, void* to, size_t size, Deadline deadline = kNoDeadline) {
    for (;;) {
      const ssize_t got = read(fd, to, size);
      if (got >= 0 || errno != EAGAIN) return got;
      MarkDrained(fd, EPOLLIN);
      const WakeReason reason = WaitFd(fd, EPOLLIN, deadline);
      if (reason == WakeReason::kReady) continue;
      errno = reason == WakeReason::kTimeout ? EAGAIN
                                             : (reason == WakeReason::kClosed ? EBADF : ECANCELED);
      return -1;
    }
  }
  int pair_[2] = {-1, -1};
};
COGI_IN_BOTH_STACK_MODES(EventLoop);

TEST_P(EventLoop, AReaderWaitsForTheWriter) {
  std::string got;
  Go([&] {
    char bytes[16];
    for (ssize_t n; (n = Read(pair_[0], bytes, sizeof bytes)) > 0;)
      got.append(bytes, static_cast<size_t>(n));
  });
  Go([&] {
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(write(pair_[1], "hello", 5), 5);
      SleepFor(1ms);
    }
    shutdown(pair_[1], SHUT_WR);
  });
  scheduler_->Run();
  EXPECT_EQ(got, "hellohellohellohellohello");
  EXPECT_LE(scheduler_->stats().epoll_ctls, 2u) << "registered once, for all its waits";
}

TEST_P(EventLoop, ATimeoutIsReportedAndTheNextWaitStillWorks) {
  Go([&] {
    char byte;
    EXPECT_EQ(Read(pair_[0], &byte, 1, After(5ms)), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(Read(pair_[0], &byte, 1, After(5s)), 1);
    EXPECT_EQ(byte, 'x');
  });
  Go([&] {
    SleepFor(10ms);
    EXPECT_EQ(write(pair_[1], "x", 1), 1);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, ReaderAndWriterCanWaitForOneDescriptor) {  // libco: the second is ignored
  std::string log;
  const int small = 4096;
  setsockopt(pair_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  Go([&] {
    char byte;
    EXPECT_EQ(Read(pair_[0], &byte, 1, After(5s)), 1);
    log += 'r';
  });
  Go([&] {
    const std::string block(65536, 'b');
    size_t sent = 0;
    while (sent < 8 * block.size()) {
      const ssize_t n = write(pair_[0], block.data(), block.size());
      if (n > 0) {
        sent += static_cast<size_t>(n);
        continue;
      }
      MarkDrained(pair_[0], EPOLLOUT);
      ASSERT_EQ(WaitFd(pair_[0], EPOLLOUT, After(5s)), WakeReason::kReady);
    }
    log += 'w';
  });
  Go([&] {
    EXPECT_EQ(write(pair_[1], "1", 1), 1);
    std::string block(65536, 0);
    size_t got = 0;
    while (got < 8 * block.size()) {
      const ssize_t n = Read(pair_[1], block.data(), block.size(), After(5s));
      ASSERT_GT(n, 0);
      got += static_cast<size_t>(n);
    }
  });
  scheduler_->Run();
  EXPECT_EQ(log, "rw");
}

TEST_P(EventLoop, ForgettingADescriptorWakesAllItsWaiters) {
  int closed = 0;
  for (int i = 0; i < 3; ++i) {
    Go([&] {
      if (WaitFd(pair_[0], EPOLLIN, After(5s)) == WakeReason::kClosed) ++closed;
    });
  }
  Go([&] { ForgetFd(pair_[0]); });
  scheduler_->Run();
  EXPECT_EQ(closed, 3);
}

TEST_P(EventLoop, EventsOfAnEarlierUseOfTheNumberAreDropped) {
  Go([&] {
    const int kept = dup(pair_[0]);  // the open file lives on, so its events do
    EXPECT_EQ(WaitFd(pair_[0], EPOLLOUT, After(5s)), WakeReason::kReady);
    const int number = pair_[0];
    ForgetFd(number);
    close(number);
    int fresh[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fresh), 0);
    ASSERT_EQ(fresh[0], number);
    EXPECT_EQ(write(pair_[1], "old", 3), 3);
    EXPECT_EQ(WaitFd(number, EPOLLIN, After(5ms)), WakeReason::kTimeout);
    EXPECT_EQ(write(fresh[1], "new", 3), 3);
    EXPECT_EQ(WaitFd(number, EPOLLIN, After(5s)), WakeReason::kReady);
    ForgetFd(fresh[1]);
    close(fresh[1]);
    close(kept);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, AShortReadWithTheEndBehindItIsNotTakenForDrained) {
  Go([&] {
    char bytes[64];
    EXPECT_EQ(WaitFd(pair_[0], EPOLLIN, After(5s)), WakeReason::kReady);
    EXPECT_EQ(read(pair_[0], bytes, sizeof bytes), 3);
    MarkShortRead(pair_[0]);
    EXPECT_EQ(WaitFd(pair_[0], EPOLLIN, After(5s)), WakeReason::kReady);
    EXPECT_EQ(read(pair_[0], bytes, sizeof bytes), 0);
  });
  Go([&] {
    EXPECT_EQ(write(pair_[1], "end", 3), 3);
    shutdown(pair_[1], SHUT_WR);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, AShortReadSavesTheNextSystemCall) {
  Go([&] {
    char bytes[64];
    EXPECT_EQ(WaitFd(pair_[0], EPOLLIN, After(5s)), WakeReason::kReady);
    EXPECT_FALSE(KnownDrained(pair_[0], EPOLLIN));
    EXPECT_EQ(read(pair_[0], bytes, sizeof bytes), 3);
    MarkShortRead(pair_[0]);
    EXPECT_TRUE(KnownDrained(pair_[0], EPOLLIN));
    EXPECT_EQ(WaitFd(pair_[0], EPOLLIN, After(2ms)), WakeReason::kTimeout);
  });
  Go([&] { EXPECT_EQ(write(pair_[1], "abc", 3), 3); });
  scheduler_->Run();
}

TEST_P(EventLoop, RegularFilesAreAlwaysReady) {
  Go([] {
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(WaitFd(file, EPOLLIN, After(5s)), WakeReason::kReady);
    ForgetFd(file);
    close(file);
    EXPECT_EQ(WaitFd(file, EPOLLIN, After(5s)), WakeReason::kClosed);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, PollFdsIsPoll) {
  Go([&] {
    pollfd set[4] = {
        {pair_[0], POLLIN, 0}, {pair_[1], POLLIN, 0}, {-1, POLLIN, 0}, {999, POLLIN, 0}};
    EXPECT_EQ(PollFds(set, 3, Clock::now()), 0);
    EXPECT_EQ(PollFds(set, 3, After(5ms)), 0);
    EXPECT_EQ(PollFds(set, 4, After(5s)), 1);
    EXPECT_EQ(set[3].revents, POLLNVAL);
    EXPECT_EQ(write(pair_[0], "x", 1), 1);
    EXPECT_EQ(PollFds(set, 3, After(5s)), 1);
    EXPECT_EQ(set[1].revents, POLLIN);
    EXPECT_EQ(PollFds(set, 3, After(5s)), 1) << "level-triggered for the caller";
    EXPECT_EQ(PollFds(nullptr, 0, After(1ms)), 0);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, PollFdsWakesForTheLaterOfTwoAndKeepsTheCallersSet) {
  Go([&] {
    pollfd set[2] = {{pair_[0], POLLIN, 0}, {pair_[1], POLLIN, 0}};
    EXPECT_EQ(PollFds(set, 2, After(5s)), 1);
    EXPECT_EQ(set[0].revents, 0);
    EXPECT_EQ(set[1].revents, POLLIN);
  });
  Go([&] {
    KeepsFrame<2000>(5, [] { SleepFor(5ms); });
    EXPECT_EQ(write(pair_[0], "x", 1), 1);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, PollFdsFindsAFileAmongOthersReady) {  // libco looks for files in sets of one
  Go([&] {
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    pollfd set[3] = {{pair_[0], POLLIN, 0}, {file, POLLIN, 0}, {pair_[1], POLLIN, 0}};
    const Deadline start = Clock::now();
    EXPECT_EQ(PollFds(set, 3, After(5s)), 1);
    EXPECT_LT(Clock::now() - start, 3s);
    EXPECT_EQ(set[1].revents, POLLIN);
    ForgetFd(file);
    close(file);
  });
  scheduler_->Run();
}

// libco drops both.
TEST_P(EventLoop, UrgentDataAndHalfACloseAreEvents) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
  const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  Go([&] {
    uint32_t got = 0;
    EXPECT_EQ(WaitFd(peer, EPOLLPRI, After(5s), &got), WakeReason::kReady);
    EXPECT_NE(got & EPOLLPRI, 0u);
    EXPECT_EQ(WaitFd(peer, EPOLLRDHUP, After(5s), &got), WakeReason::kReady);
    EXPECT_NE(got & EPOLLRDHUP, 0u);
    pollfd set{pair_[0], POLLRDHUP, 0};
    EXPECT_EQ(PollFds(&set, 1, After(5s)), 1);
    EXPECT_EQ(set.revents & POLLRDHUP, POLLRDHUP);
  });
  Go([&] {
    SleepFor(2ms);
    EXPECT_EQ(send(client, "!", 1, MSG_OOB), 1);
    SleepFor(2ms);
    shutdown(client, SHUT_WR);
    SleepFor(2ms);
    shutdown(pair_[1], SHUT_WR);
  });
  scheduler_->Run();
  for (const int fd : {listener, client, peer}) {
    ForgetFd(fd);
    close(fd);
  }
}

TEST_P(EventLoop, PollFdsOutsideReachIsRefused) {
  Go([&] {
    Coroutine* self = Current();
    scheduler_->Spawn([self] { Cancel(*self); });
    pollfd set[1] = {{pair_[0], POLLIN, 0}};
    EXPECT_EQ(PollFds(set, 1, After(5s)), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  scheduler_->Run();
}

TEST_P(EventLoop, AnIdleExclusiveListenerIsLeftToTheOthers) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  EXPECT_EQ(RegisterExclusive(listener), 0);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Go([&] {
    ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
    SleepFor(20ms);  // nobody waits for the listener: the loop must not spin
    EXPECT_LE(scheduler_->stats().epoll_waits, 8u);
    EXPECT_EQ(WaitFd(listener, EPOLLIN, After(5s)), WakeReason::kReady);
    const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(accepted, 0);
    close(accepted);
    EXPECT_EQ(WaitFd(listener, EPOLLIN, After(2ms)), WakeReason::kTimeout);
  });
  scheduler_->Run();
  ForgetFd(listener);
  close(listener);
  close(client);
}

}  // namespace
}  // namespace cogi::coroutine
