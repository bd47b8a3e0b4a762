// Files that are not in memory are read whole and right, by helper threads, while other coroutines
// run.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "coroutine/scheduler.h"
#include "hooks/file_helper.h"

namespace cogi::hooks {
namespace {

constexpr size_t kSize = 3 << 20;

// A file of which, at most, one page in the middle is in memory.
class ColdFile {
 public:
  ColdFile() {
    char name[] = "cold-file-XXXXXX";
    fd_ = mkstemp(name);
    unlink(name);
    for (size_t i = 0; i < kSize; ++i)
      content_ += static_cast<char>('a' + i * 7 % 26 + i / 4096 % 3);
    EXPECT_EQ(pwrite(fd_, content_.data(), kSize, 0), static_cast<ssize_t>(kSize));
    EXPECT_EQ(fsync(fd_), 0);
    Chill();
  }
  ~ColdFile() { close(fd_); }
  ColdFile(const ColdFile&) = delete;
  ColdFile& operator=(const ColdFile&) = delete;
  void Chill() const {
    posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM);
    char byte;
    (void)!pread(fd_, &byte, 1, kSize / 2);  // fails in a coroutine that is cancelled
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::string& content() const { return content_; }

 private:
  int fd_;
  std::string content_;
};

class FileRead : public testing::TestWithParam<coroutine::StackMode> {};
INSTANTIATE_TEST_SUITE_P(StackModes, FileRead,
                         testing::Values(coroutine::StackMode::kShared,
                                         coroutine::StackMode::kPrivate));

TEST_P(FileRead, AColdFileIsReadWholeIntoTheStackAndTheHeap) {
  ColdFile file;
  coroutine::Scheduler scheduler;
  std::string by_position, by_offset, small;
  scheduler.Spawn(
      [&] {
        by_position.resize(kSize + 100);
        const ssize_t got = read(file.fd(), by_position.data(), by_position.size());
        by_position.resize(got < 0 ? 0 : static_cast<size_t>(got));
        file.Chill();
        by_offset.resize(kSize);
        const ssize_t rest = pread(file.fd(), by_offset.data(), kSize, 1000);
        by_offset.resize(rest < 0 ? 0 : static_cast<size_t>(rest));
      },
      {.stack_mode = GetParam()});
  scheduler.Spawn(
      [&] {
        char data[10'000];  // on the stack, which another coroutine uses meanwhile
        const ssize_t got = pread(file.fd(), data, sizeof data, kSize / 2 - 5000);
        small.assign(data, got < 0 ? 0 : static_cast<size_t>(got));
      },
      {.stack_mode = GetParam()});
  scheduler.Run();
  EXPECT_TRUE(by_position == file.content());
  EXPECT_TRUE(by_offset == file.content().substr(1000));
  EXPECT_TRUE(small == file.content().substr(kSize / 2 - 5000, 10'000));
}

TEST_P(FileRead, ColdFileIsSentByHelpers) {
  ColdFile file;
  std::string got;
  coroutine::Scheduler scheduler;
  scheduler.Spawn(
      [&] {
        int pair[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        coroutine::Go(
            [&got, fd = pair[1]] {
              const auto data = std::make_unique<char[]>(64 << 10);
              for (ssize_t part; (part = read(fd, data.get(), 64 << 10)) > 0;)
                got.append(data.get(), static_cast<size_t>(part));
              close(fd);
            },
            {.stack_mode = GetParam()});
        file.Chill();
        off_t offset = 1000;
        EXPECT_EQ(sendfile(pair[0], file.fd(), &offset, kSize), static_cast<ssize_t>(kSize - 1000));
        EXPECT_EQ(offset, static_cast<off_t>(kSize));
        close(pair[0]);
      },
      {.stack_mode = GetParam()});
  scheduler.Run();
  EXPECT_TRUE(got == file.content().substr(1000));
}

TEST_P(FileRead, WorksTheSameWithoutHelpers) {
  ColdFile file;
  OffloadFiles(false);
  coroutine::Scheduler scheduler;
  std::string all(kSize, '\0');
  scheduler.Spawn(
      [&] { EXPECT_EQ(read(file.fd(), all.data(), kSize), static_cast<ssize_t>(kSize)); },
      {.stack_mode = GetParam()});
  scheduler.Run();
  OffloadFiles(true);
  EXPECT_TRUE(all.size() == kSize && lseek(file.fd(), 0, SEEK_CUR) == static_cast<off_t>(kSize));
  EXPECT_TRUE(all == file.content());
}

// Written in pieces that begin anywhere, from the stack and from the heap, by position, by offset
// and at the end.
TEST_P(FileRead, AFileIsWrittenWholeAndRight) {
  for (const bool offload : {true, false}) {
    OffloadFiles(offload);
    ColdFile file;
    std::string expected = file.content();
    coroutine::Scheduler scheduler;
    scheduler.Spawn(
        [&] {
          char small[10'000];  // on the stack, which another coroutine uses meanwhile
          memset(small, 's', sizeof small);
          std::string large(3'000'001, 'l');
          const iovec pieces[] = {
              {large.data(), 1'500'000}, {small, 0}, {small, 777}, {large.data(), 1}};
          EXPECT_EQ(pwrite(file.fd(), small, sizeof small, 12'345), 10'000);
          expected.replace(12'345, 10'000, 10'000, 's');
          lseek(file.fd(), kSize - 5, SEEK_SET);
          EXPECT_EQ(write(file.fd(), large.data(), large.size()), 3'000'001);
          EXPECT_EQ(writev(file.fd(), pieces, 4), 1'500'778);
          expected.resize(kSize - 5);
          expected += large + std::string(1'500'000, 'l') + std::string(777, 's') + "l";
          fcntl(file.fd(), F_SETFL, O_APPEND);
          EXPECT_EQ(pwritev(file.fd(), pieces + 2, 1, 0), 777);  // Linux appends here, too
          expected += std::string(777, 's');
        },
        {.stack_mode = GetParam()});
    scheduler.Spawn(
        [] {
          for (int i = 0; i < 100; ++i) coroutine::Yield();
        },
        {.stack_mode = GetParam()});
    scheduler.Run();
    OffloadFiles(true);
    std::string got(expected.size() + 1, '\0');
    got.resize(
        static_cast<size_t>(std::max<ssize_t>(pread(file.fd(), got.data(), got.size(), 0), 0)));
    EXPECT_TRUE(got == expected) << got.size() << " of " << expected.size();
  }
}

// A helper that is under way has its descriptor until it ends: a cancel does not let it be closed
// and its number given to another before.
TEST_P(FileRead, ACancelWaitsForTheHelper) {
  ColdFile file;
  coroutine::Scheduler scheduler;
  coroutine::Coroutine* writer = scheduler.Spawn(
      [&] {
        const std::string data(kSize, 'w');
        EXPECT_EQ(pwrite(file.fd(), data.data(), kSize, 0) > 0,
                  true);  // was begun before the cancel
        EXPECT_EQ(pwrite(file.fd(), data.data(), kSize, 0), -1);
        EXPECT_EQ(errno, ECANCELED);
      },
      {.stack_mode = GetParam()});
  scheduler.Spawn([&] { coroutine::Cancel(*writer); }, {.stack_mode = GetParam()});
  scheduler.Run();
}

TEST_P(FileRead, ACancelledReaderLeavesNothingBehind) {
  ColdFile file;
  coroutine::Scheduler scheduler;
  coroutine::Coroutine* reader = scheduler.Spawn(
      [&] {
        std::string all(kSize, '\0');
        for (int i = 0; i < 20; ++i) {
          file.Chill();
          if (pread(file.fd(), all.data(), kSize, 0) < 0) return;
        }
      },
      {.stack_mode = GetParam()});
  scheduler.Spawn([&] { coroutine::Cancel(*reader); }, {.stack_mode = GetParam()});
  scheduler.Run();
  EXPECT_EQ(scheduler.live(), 0u);
}

}  // namespace
}  // namespace cogi::hooks
