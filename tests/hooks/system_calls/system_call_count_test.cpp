// How many system calls the hooks make: one for what can be had at once, one more for what is
// waited for, besides the event loop's own wait.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "coroutine/scheduler.h"
#include "tests/hooks/system_calls/trace.h"

namespace cogi::tests {
namespace {

using coroutine::StackMode;

class SystemCallCount : public testing::TestWithParam<StackMode> {
 protected:
  // The system calls of `work`, run as a coroutine on the only scheduler of a process.
  static Traced InCoroutine(const std::function<void()>& work) {
    return Trace([&] {
      coroutine::Scheduler scheduler;
      scheduler.Spawn(work, {.stack_mode = GetParam()});
      scheduler.Run();
      return std::string();
    });
  }
};

INSTANTIATE_TEST_SUITE_P(StackModes, SystemCallCount,
                         testing::Values(StackMode::kShared, StackMode::kPrivate),
                         [](const auto& param) {
                           return param.param == StackMode::kShared ? "Shared" : "Private";
                         });

struct Ends {
  int reader, writer;
};
Ends MakePipe() {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  return {ends[0], ends[1]};
}
Ends MakeSockets() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  return {ends[0], ends[1]};
}

// A call that finds what it wants.
struct ReadyCall {
  const char* name;
  Ends (*make)();
  long number;  // of the system call
  ssize_t (*call)(Ends ends, char* data, size_t size);
};
const ReadyCall kReadyCalls[] = {
    {"read of a pipe", MakePipe, SYS_read,
     [](Ends e, char* d, size_t n) { return read(e.reader, d, n); }},
    {"read of a socket", MakeSockets, SYS_read,
     [](Ends e, char* d, size_t n) { return read(e.reader, d, n); }},
    {"readv", MakePipe, SYS_readv,
     [](Ends e, char* d, size_t n) {
       const iovec piece{d, n};
       return readv(e.reader, &piece, 1);
     }},
    {"recv", MakeSockets, SYS_recvfrom,
     [](Ends e, char* d, size_t n) { return recv(e.reader, d, n, 0); }},
    {"recvmsg", MakeSockets, SYS_recvmsg,
     [](Ends e, char* d, size_t n) {
       iovec piece{d, n};
       msghdr message{};
       message.msg_iov = &piece;
       message.msg_iovlen = 1;
       return recvmsg(e.reader, &message, 0);
     }},
    {"write to a pipe", MakePipe, SYS_write,
     [](Ends e, char* d, size_t n) { return write(e.writer, d, n); }},
    {"write to a socket", MakeSockets, SYS_write,
     [](Ends e, char* d, size_t n) { return write(e.writer, d, n); }},
    {"writev", MakePipe, SYS_writev,
     [](Ends e, char* d, size_t n) {
       const iovec piece{d, n};
       return writev(e.writer, &piece, 1);
     }},
    {"send", MakeSockets, SYS_sendto,
     [](Ends e, char* d, size_t n) { return send(e.writer, d, n, 0); }},
};

TEST_P(SystemCallCount, ACallThatNeedNotWaitMakesOne) {
  for (const ReadyCall& each : kReadyCalls) {
    const Traced traced = InCoroutine([&each] {
      const Ends ends = each.make();
      if (write(ends.writer, "0123456789", 10) != 10) return;
      char data[4];
      BeginTrace();
      const ssize_t moved = each.call(ends, data, sizeof data);
      EndTrace();
      if (moved != sizeof data) _exit(1);
    });
    EXPECT_TRUE(traced.ended) << each.name;
    EXPECT_EQ(traced.calls.size(), 1u) << each.name << '\n' << traced.Names();
    EXPECT_EQ(traced.Count(each.number), 1) << each.name;
  }
}

// The socket was made outside coroutines, another process may have it: its flags are not touched.
TEST_P(SystemCallCount, AReadOfAnInheritedSocketMakesOne) {
  const Ends ends = MakeSockets();
  ASSERT_EQ(write(ends.writer, "0123456789", 10), 10);
  const Traced traced = InCoroutine([ends] {
    char data[4];
    if (read(ends.reader, data, sizeof data) != sizeof data) _exit(1);  // looks at what it is
    BeginTrace();
    const ssize_t got = read(ends.reader, data, sizeof data);
    EndTrace();
    if (got != sizeof data) _exit(1);
  });
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.calls.size(), 1u) << traced.Names();
  close(ends.reader);
  close(ends.writer);
}

TEST_P(SystemCallCount, OutsideCoroutinesACallMakesOne) {
  const Traced traced = Trace([] {
    const Ends ends = MakePipe();
    char data[4];
    BeginTrace();
    const bool right = write(ends.writer, "0123", 4) == 4 && read(ends.reader, data, 4) == 4;
    EndTrace();
    return std::string(right ? "" : "wrong");
  });
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.text, "");
  EXPECT_EQ(traced.calls.size(), 2u) << traced.Names();
}

// What is in memory is opened from there, and looked at after a look at that.
TEST_P(SystemCallCount, APathThatIsInMemoryIsNotHandedToAHelper) {
  const Traced opened = InCoroutine([] {
    BeginTrace();
    const int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    EndTrace();
    if (fd < 0) _exit(1);
  });
  EXPECT_TRUE(opened.ended);
  // It might have been a FIFO, whose other end nobody has opened: two calls more.
  EXPECT_LE(opened.calls.size(), 3u) << opened.Names();
  EXPECT_EQ(opened.Count(SYS_futex) + opened.Count(SYS_epoll_pwait2), 0) << opened.Names();
  const Traced looked = InCoroutine([] {
    struct stat status;
    BeginTrace();
    const int result = stat("/etc/passwd", &status);
    EndTrace();
    if (result != 0) _exit(1);
  });
  EXPECT_TRUE(looked.ended);
  EXPECT_LE(looked.calls.size(), 3u) << looked.Names();
  EXPECT_EQ(looked.Count(SYS_futex) + looked.Count(SYS_epoll_pwait2), 0) << looked.Names();
}

// A name that nobody has asked for: the directory has to be read.
TEST_P(SystemCallCount, APathThatIsNotIsWalkedByAHelperWhileTheLoopRuns) {
  const Traced traced = InCoroutine([] {
    const std::string name = "/tmp/no-such-file-" + std::to_string(getpid());
    struct stat status;
    BeginTrace();
    const int result = stat(name.c_str(), &status);
    const int error = errno;
    EndTrace();
    if (result != -1 || error != ENOENT) _exit(1);
  });
  EXPECT_TRUE(traced.ended);
  EXPECT_GE(traced.Count(SYS_epoll_pwait2), 1) << traced.Names();
}

// The scheduler's thread makes none of the calls that change the folder.
TEST_P(SystemCallCount, AFolderIsChangedByAHelperWhileTheLoopRuns) {
  const Traced traced = InCoroutine([] {
    const std::string name = "changed-" + std::to_string(getpid()), other = name + "-too";
    const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) _exit(1);
    BeginTrace();
    const bool right = ftruncate(fd, 100) == 0 && truncate(name.c_str(), 50) == 0 &&
                       link(name.c_str(), other.c_str()) == 0 &&
                       rename(other.c_str(), name.c_str()) == 0 && unlink(other.c_str()) == 0 &&
                       symlink(name.c_str(), other.c_str()) == 0 && remove(other.c_str()) == 0 &&
                       unlink(name.c_str()) == 0;
    EndTrace();
    close(fd);
    if (!right) _exit(1);
  });
  EXPECT_TRUE(traced.ended);
  for (const long number :
       {SYS_ftruncate, SYS_truncate, SYS_link, SYS_linkat, SYS_rename, SYS_renameat, SYS_renameat2,
        SYS_unlink, SYS_unlinkat, SYS_symlink, SYS_symlinkat})
    EXPECT_EQ(traced.Count(number), 0) << number << '\n' << traced.Names();
  EXPECT_GE(traced.Count(SYS_epoll_pwait2), 8) << traced.Names();
}

constexpr int kRounds = 10;
int g_read;  // messages, in the traced process

// A reader that has to wait for each of ten messages, sent when it has read the one before, and the
// calls that it and the loop make for them; the writer's sends are told apart by their name.
// `size`: of the reader's buffer.
Traced WaitForMessages(Ends (*make)(), size_t size, StackMode mode,
                       ssize_t (*get)(int, char*, size_t)) {
  return Trace([=] {
    coroutine::Scheduler scheduler;
    scheduler.Spawn(
        [=] {
          const Ends ends = make();
          coroutine::Go(
              [=] {
                char byte = 'x';
                const iovec piece{&byte, 1};
                for (int i = 0; i <= kRounds; ++i) {
                  do coroutine::Yield();
                  while (g_read < i);
                  if (writev(ends.writer, &piece, 1) != 1) _exit(1);
                }
              },
              {.stack_mode = mode});
          char data[8];
          for (int i = 0; i <= kRounds; ++i) {
            if (i == 1) BeginTrace();  // the first read makes the loop know the descriptor
            if (get(ends.reader, data, size) != 1) _exit(1);
            ++g_read;
          }
          EndTrace();
        },
        {.stack_mode = mode});
    scheduler.Run();
    return std::string();
  });
}

// A read that leaves room in its buffer has found the end of what there is: the next one need not
// ask before it parks.
TEST_P(SystemCallCount, AParkedReadMakesNoneBesidesItself) {
  const Traced traced =
      WaitForMessages(MakePipe, 8, GetParam(),
                      [](int fd, char* data, size_t size) { return read(fd, data, size); });
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.Count(SYS_read), kRounds) << traced.Names();
  EXPECT_GE(traced.Count(SYS_epoll_pwait2), kRounds) << "it did not park";
  EXPECT_EQ(traced.calls.size(),
            static_cast<size_t>(traced.Count(SYS_read) + traced.Count(SYS_writev) +
                                traced.Count(SYS_epoll_pwait2)))
      << traced.Names();
}

// One that fills its buffer has to ask: that is the one more.
TEST_P(SystemCallCount, AParkedReadMakesAtMostOneMore) {
  const Traced traced =
      WaitForMessages(MakeSockets, 1, GetParam(),
                      [](int fd, char* data, size_t size) { return recv(fd, data, size, 0); });
  EXPECT_TRUE(traced.ended);
  EXPECT_LE(traced.Count(SYS_recvfrom), 2 * kRounds) << traced.Names();
  EXPECT_GE(traced.Count(SYS_epoll_pwait2), kRounds) << "it did not park";
  EXPECT_EQ(traced.calls.size(),
            static_cast<size_t>(traced.Count(SYS_recvfrom) + traced.Count(SYS_writev) +
                                traced.Count(SYS_epoll_pwait2)))
      << traced.Names();
}

// The event loop is told of a descriptor once in its life.
TEST_P(SystemCallCount, TheFirstParkRegistersTheDescriptorOnce) {
  const Traced traced = InCoroutine([mode = GetParam()] {
    const Ends ends = MakePipe();
    coroutine::Go(
        [ends] {
          if (write(ends.writer, "x", 1) != 1) _exit(1);
        },
        {.stack_mode = mode});
    char data[8];
    BeginTrace();
    const ssize_t got = read(ends.reader, data, sizeof data);
    EndTrace();
    if (got != 1) _exit(1);
  });
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.Count(SYS_read), 2) << traced.Names();
  EXPECT_EQ(traced.Count(SYS_epoll_ctl), 1) << traced.Names();
}

}  // namespace
}  // namespace cogi::tests
