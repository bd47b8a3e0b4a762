// A FIFO is opened as libc's open() does it, which waits for the other end; but only the coroutine
// waits.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/resume.h"
#include "coroutine/scheduler.h"

namespace cogi::hooks {
namespace {

using coroutine::SleepFor;
using std::chrono::milliseconds;

class Fifo : public testing::TestWithParam<coroutine::StackMode> {
 protected:
  Fifo() {
    char folder[] = "fifo-XXXXXX";
    folder_ = mkdtemp(folder);
    path_ = folder_ + "/fifo";
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    open_before_ = Open();
  }
  ~Fifo() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  void TearDown() override { EXPECT_EQ(Open(), open_before_) << "a descriptor is left"; }

  [[nodiscard]] const char* path() const { return path_.c_str(); }
  [[nodiscard]] const std::string& folder() const { return folder_; }

  void Run(const std::vector<std::function<void()>>& bodies) {
    coroutine::Scheduler scheduler;
    for (const auto& body : bodies) scheduler.Spawn(body, {.stack_mode = GetParam()});
    scheduler.Run();
  }

  // All that comes until its other end is closed.
  static std::string ReadAll(int fd) {
    std::string all;
    char piece[64];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0) all.append(piece, static_cast<size_t>(got));
    EXPECT_EQ(got, 0);
    close(fd);
    return all;
  }

  static void WriteAndClose(int fd, const std::string& text) {
    EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(fd);
  }

 private:
  static int Open() {
    int open = 0;
    for (int fd = 0; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
    return open;
  }

  std::string folder_, path_;
  int open_before_ = 0;
};

INSTANTIATE_TEST_SUITE_P(StackModes, Fifo,
                         testing::Values(coroutine::StackMode::kShared,
                                         coroutine::StackMode::kPrivate));

TEST_P(Fifo, TwoCoroutinesOfOneThreadMeetWhoeverComesFirst) {
  for (const bool reader_first : {true, false}) {
    std::string got;
    const auto reader = [&] { got = ReadAll(open(path(), O_RDONLY)); };
    const auto writer = [&] { WriteAndClose(open(path(), O_WRONLY), "met"); };
    Run(reader_first ? std::vector<std::function<void()>>{reader, writer}
                     : std::vector<std::function<void()>>{writer, reader});
    EXPECT_EQ(got, "met");
  }
}

TEST_P(Fifo, TheOtherFormsOfOpenAndFopenWaitLikewise) {
  std::string got;
  const auto opened = [&](auto opens) { WriteAndClose(opens(), "x"); };
  const auto reads = [&] { got += ReadAll(open64(path(), O_RDONLY | O_CLOEXEC)); };
  Run({[&] { opened([&] { return creat(path(), 0600); }); }, reads});
  Run({[&] { opened([&] { return open(path(), O_WRONLY | O_CREAT | O_TRUNC, 0600); }); }, reads});
  Run({[&] {
         const int directory = open(folder().c_str(), O_RDONLY | O_DIRECTORY);
         opened([&] { return openat(directory, "fifo", O_WRONLY | O_APPEND); });
         close(directory);
       },
       reads});
  Run({[&] {
         FILE* file = fopen(path(), "w");
         ASSERT_NE(file, nullptr);
         fputs("y", file);
         fclose(file);
       },
       reads});
  EXPECT_EQ(got, "xxxy");
  Run({[&] {
         FILE* file = fopen(path(), "r");
         ASSERT_NE(file, nullptr);
         EXPECT_EQ(fgetc(file), 'z');
         fclose(file);
       },
       [&] { WriteAndClose(open(path(), O_WRONLY), "z"); }});
}

TEST_P(Fifo, OthersRunWhileOneWaitsForAnotherThread) {
  int turns = 0;
  std::thread thread([&] {
    std::this_thread::sleep_for(milliseconds(50));
    WriteAndClose(open(path(), O_WRONLY), "late");
  });
  std::string got;
  Run({[&] { got = ReadAll(open(path(), O_RDONLY)); },
       [&] {
         for (; got.empty() && turns < 10'000; ++turns) SleepFor(milliseconds(1));
       }});
  thread.join();
  EXPECT_EQ(got, "late");
  EXPECT_GT(turns, 5);
}

TEST_P(Fifo, AWriterThatHasNotWrittenYetIsEnoughForAReader) {
  std::atomic<bool> opened{false};
  std::thread thread([&] {
    const int fd = open(path(), O_WRONLY);
    while (!opened) std::this_thread::sleep_for(milliseconds(1));
    close(fd);
  });
  Run({[&] {
    const int fd = open(path(), O_RDONLY);
    EXPECT_GE(fd, 0);
    opened = true;
    EXPECT_EQ(ReadAll(fd), "");
  }});
  thread.join();
}

// The writer waits already, and needs no more of the reader than its coming.
TEST_P(Fifo, AWriterThatLeavesAsSoonAsItMayIsReadToItsEnd) {
  for (int round = 0; round < 100; ++round) {
    std::thread thread([&] { WriteAndClose(open(path(), O_WRONLY), "gone"); });
    std::this_thread::sleep_for(milliseconds(round % 4));
    std::string got;
    Run({[&] {
      const int fd = open(path(), O_RDONLY);
      thread.join();
      got = ReadAll(fd);
    }});
    ASSERT_EQ(got, "gone");
  }
}

TEST_P(Fifo, ACancelEndsTheWait) {
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    int fd = 0, error = 0;
    Run({[&] {
      coroutine::Coroutine* opener = coroutine::Go([&] {
        fd = open(path(), flags);
        error = errno;
      });
      SleepFor(milliseconds(5));
      coroutine::Cancel(*opener);
    }});
    EXPECT_EQ(fd, -1);
    EXPECT_EQ(error, ECANCELED);
  }
}

TEST_P(Fifo, ACoroutineThatIsDestroyedWhileItWaitsLeavesNoDescriptor) {
  coroutine::Scheduler scheduler;
  coroutine::Coroutine* opener =
      scheduler.Spawn([&] { open(path(), O_RDONLY); }, {.stack_mode = GetParam()});
  scheduler.Spawn([&] {
    SleepFor(milliseconds(5));
    coroutine::Destroy(opener);
  });
  scheduler.Run();
}

TEST_P(Fifo, WhatDoesNotWaitInThreadsDoesNotWaitHere) {
  Run({[&] {
    EXPECT_EQ(open(path(), O_WRONLY | O_NONBLOCK), -1);
    EXPECT_EQ(errno, ENXIO);
    for (const int flags : {O_RDONLY | O_NONBLOCK, O_RDWR, O_PATH}) {
      const int fd = open(path(), flags);
      EXPECT_GE(fd, 0);
      close(fd);
    }
    EXPECT_EQ(open(path(), O_WRONLY | O_CREAT | O_EXCL, 0600), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(open(path(), O_WRONLY | O_DIRECTORY), -1);
    EXPECT_EQ(errno, ENOTDIR);
  }});
}

// What the kernel has of a descriptor, past the hooks.
long KernelFlags(int fd) { return syscall(SYS_fcntl, fd, F_GETFL, 0); }

TEST_P(Fifo, TheKernelsFlagsAreThoseOfAnOrdinaryOpen) {
  const std::string file = folder() + "/file";
  for (const int flags : {O_RDONLY, O_WRONLY | O_APPEND, O_RDONLY | O_NONBLOCK, O_RDWR | O_CLOEXEC,
                          O_WRONLY | O_CREAT | O_TRUNC}) {
    const int made = open(file.c_str(), O_WRONLY | O_CREAT, 0600);
    close(made);
    const int plain = open(file.c_str(), flags, 0600);
    Run({[&] {
      const int inside = open(file.c_str(), flags, 0600);
      EXPECT_EQ(KernelFlags(inside), KernelFlags(plain)) << flags;
      EXPECT_EQ(fcntl(inside, F_GETFD), fcntl(plain, F_GETFD)) << flags;
      close(inside);
    }});
    close(plain);
  }
  unlink(file.c_str());
  Run({[&] {
         const int fd = open(path(), O_RDONLY);
         EXPECT_EQ(KernelFlags(fd) & (O_NONBLOCK | O_ACCMODE), O_RDONLY);
         close(fd);
       },
       [&] {
         const int fd = open(path(), O_WRONLY | O_APPEND | O_CLOEXEC);
         EXPECT_EQ(KernelFlags(fd) & (O_NONBLOCK | O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
         EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
         close(fd);
       }});
}

}  // namespace
}  // namespace cogi::hooks
