// The Poller on kqueue, and what the double of kqueue promises it.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <type_traits>
#include <vector>

#include "coroutine/events.h"
#include "coroutine/poller.h"
#include "tests/coroutine/fixture.h"

namespace cogi::coroutine {
namespace {

static_assert(std::is_same_v<Poller, KqueuePoller>);
constexpr int64_t kMillisecond = 1'000'000;

class OnKqueue : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0); }
  void TearDown() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }
  // All that is reported within 20 ms, of `fd` and generation 7.
  uint32_t Events(int fd) {
    Poller::Report reports[Poller::kReports];
    uint32_t events = 0;
    const int count = poller_.Wait(reports, 20 * kMillisecond);
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(reports[i].fd(), fd);
      EXPECT_EQ(reports[i].generation(), 7u);
      events |= reports[i].events();
    }
    return events;
  }
  Poller poller_;
  uint32_t known_ = 0;
  int pipe_[2] = {-1, -1};
};

TEST_F(OnKqueue, EachDirectionIsReportedOncePerChange) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ASSERT_EQ(poller_.Add(ends[0], 7, known_), 0);
  EXPECT_EQ(Events(ends[0]), uint32_t{EPOLLOUT});
  EXPECT_EQ(Events(ends[0]), 0u);
  ASSERT_EQ(write(ends[1], "a", 1), 1);
  EXPECT_EQ(Events(ends[0]), uint32_t{EPOLLIN});
  EXPECT_EQ(Events(ends[0]), 0u) << "it has not changed";
  ASSERT_EQ(shutdown(ends[1], SHUT_WR), 0);
  EXPECT_EQ(Events(ends[0]) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP), uint32_t{EPOLLIN | EPOLLRDHUP});
  close(ends[1]);
  EXPECT_NE(Events(ends[0]) & EPOLLHUP, 0u);
  close(ends[0]);
  EXPECT_EQ(known_, 0u);
}

TEST_F(OnKqueue, APipeWhoseReaderHasGoneIsKnownAtOnce) {
  close(pipe_[0]);
  EXPECT_EQ(poller_.Add(pipe_[1], 7, known_), 0);
  EXPECT_EQ(known_, uint32_t{EPOLLOUT | EPOLLERR});
  pipe_[0] = -1;
}

TEST_F(OnKqueue, FilesAreRefusedAsAlwaysReadyAndClosedOnesAsClosed) {
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(poller_.Add(file, 7, known_), EPERM);
  close(file);
  EXPECT_EQ(poller_.Add(file, 7, known_), EBADF);
  EXPECT_EQ(poller_.AddExclusive(file, 7), EBADF);
}

TEST_F(OnKqueue, WhatIsRemovedOrClosedIsNotReported) {
  ASSERT_EQ(poller_.Add(pipe_[0], 7, known_), 0);
  poller_.Remove(pipe_[0]);
  ASSERT_EQ(write(pipe_[1], "a", 1), 1);
  EXPECT_EQ(Events(pipe_[0]), 0u);
  ASSERT_EQ(poller_.Add(pipe_[0], 7, known_), 0);
  const int kept = dup(pipe_[0]);  // the open file lives on, the number does not
  close(pipe_[0]);
  EXPECT_EQ(Events(pipe_[0]), 0u);
  pipe_[0] = kept;
}

TEST_F(OnKqueue, AnExclusiveOneIsReportedAsLongAsThereIsSomething) {
  ASSERT_EQ(poller_.AddExclusive(pipe_[0], 7), 0);
  ASSERT_EQ(write(pipe_[1], "a", 1), 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Events(pipe_[0]), uint32_t{EPOLLIN});
  char byte;
  ASSERT_EQ(read(pipe_[0], &byte, 1), 1);
  EXPECT_EQ(Events(pipe_[0]), 0u);
}

TEST_F(OnKqueue, ASignalEndsOneWait) {
  Poller::Report reports[Poller::kReports];
  poller_.Signal();
  poller_.Signal();
  ASSERT_EQ(poller_.Wait(reports, -1), 1);
  EXPECT_EQ(reports[0].fd(), -1);
  EXPECT_EQ(poller_.Wait(reports, 0), 0);
}

TEST_F(OnKqueue, WaitsToTheNanosecondAndNoLonger) {
  const auto start = Clock::now();
  Poller::Report reports[Poller::kReports];
  EXPECT_EQ(poller_.Wait(reports, 10 * kMillisecond + 1), 0);
  EXPECT_GE(Clock::now() - start, std::chrono::nanoseconds(10 * kMillisecond + 1));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

TEST_F(OnKqueue, GivesTheQueueBack) {
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 10; ++i) Poller another;
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace cogi::coroutine
