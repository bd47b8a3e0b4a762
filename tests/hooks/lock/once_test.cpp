#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/hooks/lock/coroutine_fixture.h"

namespace cogi::tests {
namespace {

class Once : public InCoroutines {};
COGI_BOTH_STACK_MODES(Once);

int g_constructed = 0;

struct Slow {
  Slow() {
    SleepFor(milliseconds(5));
    ++g_constructed;
  }
};

template <StackMode mode>
Slow& SlowStatic() {
  static Slow slow;  // one per mode, so that each test has a fresh one
  return slow;
}

TEST_P(Once, LocalStaticWhoseInitialiserYieldsIsMadeOnce) {
  g_constructed = 0;
  Slow* first = nullptr;
  for (int i = 0; i < 10; ++i) {
    Go([&] {
      Slow& slow = GetParam() == StackMode::kShared ? SlowStatic<StackMode::kShared>()
                                                    : SlowStatic<StackMode::kPrivate>();
      if (first == nullptr) first = &slow;
      EXPECT_EQ(first, &slow);
    });
  }
  Run();
  EXPECT_EQ(g_constructed, 1);
}

struct Fails {
  explicit Fails(int& attempts) {
    SleepFor(milliseconds(1));
    if (++attempts % 3 != 0) throw std::runtime_error("not yet");
  }
};

template <StackMode mode>
void FailingStatic(int& attempts) {
  static Fails fails(attempts);
}

TEST_P(Once, LocalStaticWhoseInitialiserThrowsIsTriedByTheNext) {
  int attempts = 0, thrown = 0, made = 0;
  for (int i = 0; i < 6; ++i) {
    Go([&] {
      try {
        GetParam() == StackMode::kShared ? FailingStatic<StackMode::kShared>(attempts)
                                         : FailingStatic<StackMode::kPrivate>(attempts);
        ++made;
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    });
  }
  Run();
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(thrown, 2);
  EXPECT_EQ(made, 4);
}

template <StackMode mode>
int Recursive(int depth) {
  static int value = depth > 3 ? 1 : Recursive<mode>(depth + 1);
  return value;
}

TEST_P(Once, LocalStaticThatNeedsItselfIsRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Go([&] {
          GetParam() == StackMode::kShared ? Recursive<StackMode::kShared>(0)
                                           : Recursive<StackMode::kPrivate>(0);
        });
        Run();
      },
      "would wait for itself");
}

TEST_P(Once, CallOnceRunsOnceAndAgainAfterAnException) {
  std::once_flag flag;
  int attempts = 0, returned = 0, thrown = 0;
  for (int i = 0; i < 8; ++i) {
    Go([&, i] {
      try {
        std::call_once(flag, [&, i] {
          SleepFor(milliseconds(1));
          EXPECT_GE(i, 0);
          if (++attempts < 3) throw std::runtime_error("not yet");
        });
        ++returned;
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    });
  }
  Run();
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(thrown, 2);
  EXPECT_EQ(returned, 6);
}

pthread_once_t g_once = PTHREAD_ONCE_INIT;
std::atomic<int> g_once_runs{0};

TEST_P(Once, RoutineThatAThreadRunsIsWaitedForWithoutBlocking) {
  g_once = PTHREAD_ONCE_INIT;
  g_once_runs = 0;
  std::atomic<bool> started{false};
  static std::atomic<bool>* g_started;
  g_started = &started;
  auto routine = [] {
    *g_started = true;
    std::this_thread::sleep_for(milliseconds(40));
    ++g_once_runs;
  };
  std::thread thread([&] { pthread_once(&g_once, routine); });
  while (!started) std::this_thread::yield();
  int ticks = 0;
  bool ended = false;
  Go([&] {
    pthread_once(&g_once, routine);
    EXPECT_EQ(g_once_runs, 1);
    ended = true;
  });
  Go([&] {
    for (; !ended; ++ticks) SleepFor(milliseconds(1));
  });
  Run();
  thread.join();
  EXPECT_GE(ticks, 5);
}

TEST_P(Once, FileLockedByACoroutineIsNotAnothers) {
  FILE* file = tmpfile();
  ASSERT_NE(file, nullptr);
  int inside = 0;
  for (int i = 0; i < 5; ++i) {
    Go([&] {
      flockfile(file);
      flockfile(file);  // recursive for its owner
      EXPECT_EQ(++inside, 1);
      SleepFor(milliseconds(1));
      --inside;
      funlockfile(file);
      funlockfile(file);
    });
  }
  Go([&] { EXPECT_NE(ftrylockfile(file), 0); });
  Run();
  fclose(file);
}

// A child that holds a lock of `path` by `lock` until told to end.
template <class Lock>
class Holder {
 public:
  Holder(const char* path, Lock lock) {
    int ready[2], end[2];
    if (pipe(ready) != 0 || pipe(end) != 0) abort();
    child_ = fork();
    if (child_ == 0) {
      const int fd = open(path, O_RDWR);
      lock(fd);
      char byte = 'r';
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      close(end[1]);
      while (read(end[0], &byte, 1) > 0) {
      }
      _exit(0);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) abort();
    close(ready[0]);
    close(ready[1]);
    close(end[0]);
    end_ = end[1];
  }
  void Release() {
    if (end_ == -1) return;
    close(end_);
    end_ = -1;
    waitpid(child_, nullptr, 0);
  }
  ~Holder() { Release(); }

 private:
  pid_t child_;
  int end_;
};

TEST_P(Once, FileLocksOfAnotherProcessAreWaitedForWithoutBlocking) {
  char path[] = "/tmp/cogi-lock-XXXXXX";
  const int made = mkstemp(path);
  ASSERT_GE(made, 0);
  close(made);
  struct flock record {};
  record.l_type = F_WRLCK;
  record.l_whence = SEEK_SET;
  auto take_flock = [](int fd) { return flock(fd, LOCK_EX); };
  auto take_record = [&](int fd) { return fcntl(fd, F_SETLKW, &record); };
  auto take_open = [&](int fd) { return fcntl(fd, F_OFD_SETLKW, &record); };
  auto take_lockf = [](int fd) { return lockf(fd, F_LOCK, 0); };
  auto check = [&](auto take) {
    Holder holder(path, take);
    int ticks = 0;
    bool locked = false;
    Go([&] {
      const int fd = open(path, O_RDWR);
      EXPECT_EQ(take(fd), 0);
      locked = true;
      close(fd);
    });
    Go([&] {
      for (; !locked; ++ticks) {
        SleepFor(milliseconds(1));
        if (ticks == 20) {
          EXPECT_FALSE(locked);
          holder.Release();
        }
      }
    });
    Run();
    EXPECT_GE(ticks, 20);
  };
  check(take_flock);
  check(take_record);
  check(take_open);
  check(take_lockf);
  unlink(path);
}

TEST_P(Once, FlockKeepsCoroutinesApart) {
  char path[] = "/tmp/cogi-lock-XXXXXX";
  const int made = mkstemp(path);
  ASSERT_GE(made, 0);
  close(made);
  int inside = 0;
  for (int i = 0; i < 10; ++i) {
    Go([&] {
      const int fd = open(path, O_RDWR);
      EXPECT_EQ(flock(fd, LOCK_EX), 0);
      EXPECT_EQ(++inside, 1);
      SleepFor(milliseconds(1));
      --inside;
      EXPECT_EQ(flock(fd, LOCK_UN), 0);
      close(fd);
    });
  }
  Run();
  unlink(path);
}

}  // namespace
}  // namespace cogi::tests
