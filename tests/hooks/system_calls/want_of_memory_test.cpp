// Without memory: whichever allocation of a call fails, here or in the kernel, the call gives its
// result or ENOMEM, nothing stays open, and the next one works.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "coroutine/sanitizers.h"
#include "coroutine/scheduler.h"
#include "tests/hooks/system_calls/failing_allocator.h"
#include "tests/hooks/system_calls/trace.h"

namespace cogi::tests {
namespace {

using coroutine::StackMode;

// What a call came to: 0, or why not. No std::string: it would allocate.
struct Outcome {
  int error = 0;  // errno; EAI_* are negative
};
Outcome Failed() { return {errno}; }

class Ends {
 public:
  explicit Ends(int type = 0) {
    if ((type == 0 ? pipe(fds_) : socketpair(AF_UNIX, type, 0, fds_)) != 0) fds_[0] = fds_[1] = -1;
  }
  ~Ends() {
    for (const int fd : fds_)
      if (fd >= 0) close(fd);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  [[nodiscard]] bool ok() const { return fds_[0] >= 0; }
  [[nodiscard]] int reader() const { return fds_[0]; }
  [[nodiscard]] int writer() const { return fds_[1]; }

 private:
  int fds_[2];
};

// A wait that ends by its timeout.
Outcome TimedRead() {
  const Ends ends(SOCK_STREAM);
  if (!ends.ok()) return Failed();
  const timeval soon{0, 30'000};
  setsockopt(ends.reader(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  char data;
  if (read(ends.reader(), &data, 1) == -1 && errno == EAGAIN) return {};
  return Failed();
}

Outcome WriteAndRead() {
  const Ends ends;
  if (!ends.ok()) return Failed();
  char data[4];
  if (write(ends.writer(), "0123", 4) != 4 || read(ends.reader(), data, 4) != 4) return Failed();
  return {memcmp(data, "0123", 4) == 0 ? 0 : EILSEQ};
}

Outcome Poll() {
  const Ends ends;
  if (!ends.ok()) return Failed();
  pollfd set[] = {{ends.reader(), POLLIN, 0}, {ends.writer(), 0, 0}};
  return poll(set, 2, 30) == 0 ? Outcome{} : Failed();
}

Outcome Select() {
  const Ends ends;
  if (!ends.ok()) return Failed();
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends.reader(), &set);
  timeval soon{0, 30'000};  // not over before it is watched, on a busy machine
  return select(ends.reader() + 1, &set, nullptr, nullptr, &soon) == 0 ? Outcome{} : Failed();
}

Outcome OwnEpoll() {
  const int epoll = epoll_create1(0);
  if (epoll < 0) return Failed();
  epoll_event event{};
  const Outcome outcome = epoll_wait(epoll, &event, 1, 30) == 0 ? Outcome{} : Failed();
  close(epoll);
  return outcome;
}

Outcome Timer() {
  const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  if (timer < 0) return Failed();
  const itimerspec soon{{0, 0}, {0, 1'000'000}};
  timerfd_settime(timer, 0, &soon, nullptr);
  uint64_t count = 0;
  const Outcome outcome = read(timer, &count, sizeof count) == sizeof count ? Outcome{} : Failed();
  close(timer);
  return outcome;
}

Outcome Duplicates() {
  const Ends ends;
  if (!ends.ok()) return Failed();
  const int copy = dup(ends.writer());
  if (copy < 0) return Failed();
  char data;
  const bool right = write(copy, "x", 1) == 1 && read(ends.reader(), &data, 1) == 1;
  const Outcome outcome = right ? Outcome{} : Failed();
  close(copy);
  return outcome;
}

Outcome ColdFile() {
  char name[] = "want-of-memory-XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0) return Failed();
  unlink(name);
  char data[4096] = "cold";
  bool right = write(fd, data, sizeof data) == sizeof data && fsync(fd) == 0;
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  right = right && pread(fd, data, sizeof data, 0) == sizeof data;
  const Outcome outcome = right ? Outcome{} : Failed();
  close(fd);
  return outcome;
}

Outcome Child() {
  const pid_t pid = fork();
  if (pid == 0) {
    usleep(1000);
    _exit(3);
  }
  if (pid < 0) return Failed();
  int status = 0;
  if (waitpid(pid, &status, 0) == pid) return {WEXITSTATUS(status) == 3 ? 0 : EILSEQ};
  const Outcome outcome = Failed();
  while (waitpid(pid, &status, 0) != pid) usleep(1000);  // it must not stay a zombie
  return outcome;
}

Outcome ChildById() {
  const pid_t pid = fork();
  if (pid == 0) {
    usleep(1000);
    _exit(3);
  }
  if (pid < 0) return Failed();
  siginfo_t found{};
  if (waitid(P_PID, static_cast<id_t>(pid), &found, WEXITED) == 0)
    return {found.si_status == 3 ? 0 : EILSEQ};
  const Outcome outcome = Failed();
  while (waitpid(pid, nullptr, 0) != pid) usleep(1000);
  return outcome;
}

Outcome Folder() {
  char name[] = "want-of-memory-XXXXXX";
  if (mkdtemp(name) == nullptr) return Failed();
  DIR* folder = opendir(name);
  Outcome outcome = folder == nullptr ? Failed() : Outcome{};
  if (folder != nullptr) closedir(folder);
  while (rmdir(name) != 0) {
    if (errno != ENOMEM) return Failed();
    outcome = {ENOMEM};
  }
  return outcome;
}

Outcome Name() {
  addrinfo* list = nullptr;
  const int outcome = getaddrinfo("localhost", "80", nullptr, &list);
  if (outcome == 0) freeaddrinfo(list);
  return {outcome == EAI_SYSTEM ? errno : outcome};
}

Outcome Command() {
  FILE* stream = popen("exit 3", "r");
  if (stream == nullptr) return Failed();
  const int status = pclose(stream);
  return status == -1 ? Failed() : Outcome{WEXITSTATUS(status) == 3 ? 0 : EILSEQ};
}

struct Case {
  const char* name;
  Outcome (*run)();
};
const Case kCases[] = {{"write and read", WriteAndRead},
                       {"read with a timeout", TimedRead},
                       {"poll", Poll},
                       {"select", Select},
                       {"epoll_wait", OwnEpoll},
                       {"timerfd", Timer},
                       {"dup", Duplicates},
                       {"a file that is not in memory", ColdFile},
                       {"fork and waitpid", Child},
                       {"fork and waitid", ChildById},
                       {"opendir and rmdir", Folder},
                       {"getaddrinfo", Name},
                       {"popen and pclose", Command}};

bool IsWantOfMemory(int error) { return error == ENOMEM || error == EAI_MEMORY; }

int OpenDescriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
  return open;
}

class WantOfMemory : public testing::TestWithParam<StackMode> {
 protected:
  static void InCoroutine(const std::function<void()>& work) {
    coroutine::Scheduler scheduler;
    scheduler.Spawn(work, {.stack_mode = GetParam()});
    scheduler.Run();
  }
};
INSTANTIATE_TEST_SUITE_P(StackModes, WantOfMemory,
                         testing::Values(StackMode::kShared, StackMode::kPrivate),
                         [](const auto& param) {
                           return param.param == StackMode::kShared ? "Shared" : "Private";
                         });

// Each allocation of each case fails once, and once with all that come after it. A scheduler knows
// nothing of any descriptor at first, so that what it keeps of them is allocated, too.
TEST_P(WantOfMemory, OfAnyAllocationGivesEnomemOrTheResult) {
#if COGI_SANITIZED
  GTEST_SKIP() << "the sanitizer's allocator stands before the failing one";
#endif
  constexpr int kMost = 500;
  for (const Case& one : kCases) {
    InCoroutine([&] { one.run(); });  // what is made once and kept
    int points = 0, refused = 0;
    const int open_before = OpenDescriptors();
    for (const bool for_good : {false, true}) {
      bool reached = true;
      for (int nth = 1; reached && nth < kMost; ++nth) {
        Outcome outcome, after;
        InCoroutine([&] {
          {
            FailingAllocations failing(nth, for_good);
            outcome = one.run();
            reached = failing.any_failed();
          }
          after = one.run();
        });
        EXPECT_TRUE(outcome.error == 0 || IsWantOfMemory(outcome.error))
            << one.name << ", allocation " << nth << ": " << outcome.error;
        EXPECT_EQ(after.error, 0) << one.name << " after allocation " << nth << " failed";
        points += reached;
        refused += outcome.error != 0;
      }
      EXPECT_FALSE(reached) << one.name << " allocates without end";
    }
    EXPECT_EQ(OpenDescriptors(), open_before) << one.name << " leaks";
    printf("  %-30s %3d allocations failed, %3d calls with them\n", one.name, points, refused);
  }
}

// The kernel has no memory, or no place, for what the call or the event loop asks of it.
struct KernelCase {
  const char* name;
  long number;
  int error;
  const char* expected;
  Outcome (*run)();
};
const KernelCase kKernelCases[] = {
    {"pipe2", SYS_pipe2, ENOMEM, "ENOMEM", WriteAndRead},
    {"socketpair", SYS_socketpair, ENOMEM, "ENOMEM", TimedRead},
    {"socketpair", SYS_socketpair, ENFILE, "ENFILE", TimedRead},
    {"epoll_create1", SYS_epoll_create1, ENOMEM, "ENOMEM", OwnEpoll},
    {"timerfd_create", SYS_timerfd_create, ENOMEM, "ENOMEM", Timer},
    {"dup", SYS_dup, ENOMEM, "ENOMEM", Duplicates},
    {"watching for read", SYS_epoll_ctl, ENOMEM, "ENOMEM", TimedRead},
    {"watching for read", SYS_epoll_ctl, ENOSPC, "ENOMEM", TimedRead},
    {"watching for poll", SYS_epoll_ctl, ENOMEM, "ENOMEM", Poll},
    {"watching for select", SYS_epoll_ctl, ENOSPC, "ENOMEM", Select},
    {"watching for epoll_wait", SYS_epoll_ctl, ENOSPC, "ENOMEM", OwnEpoll},
    // The real calls need nothing of these kinds, and have none of these errors.
    {"watching for waitpid", SYS_epoll_ctl, ENOSPC, "0", Child},
    {"pidfd_open for waitpid", SYS_pidfd_open, ENOMEM, "0", Child},
    {"the flags of a read of a file", SYS_preadv2, EOPNOTSUPP, "0", ColdFile},
};

TEST_P(WantOfMemory, InTheKernelGivesWhatTheRealCallWould) {
  if (!CanInject()) GTEST_SKIP() << "injects on x86-64 only";
  for (const KernelCase& one : kKernelCases) {
    const Traced traced = Trace(
        [&] {
          Outcome outcome, after;
          int left_open = 0;
          coroutine::Scheduler scheduler;
          scheduler.Spawn(
              [&] {
                const int open_before = OpenDescriptors();
                BeginTrace();
                outcome = one.run();
                EndTrace();
                after = one.run();
                left_open = OpenDescriptors() - open_before;
              },
              {.stack_mode = GetParam()});
          scheduler.Run();
          return std::string(outcome.error == 0 ? "0" : strerrorname_np(outcome.error)) +
                 ", then " + std::to_string(after.error) + ", left open " +
                 std::to_string(left_open);
        },
        {.number = one.number, .error = one.error});
    EXPECT_TRUE(traced.ended) << one.name;
    EXPECT_GT(traced.Count(one.number), 0) << one.name << ": nothing failed";
    EXPECT_EQ(traced.text, std::string(one.expected) + ", then 0, left open 0") << one.name;
  }
}

}  // namespace
}  // namespace cogi::tests
