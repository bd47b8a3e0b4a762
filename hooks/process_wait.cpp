#include "hooks/process_wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>
#include <vector>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/calls.h"
#include "hooks/descriptors.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

using coroutine::Deadline;
using coroutine::WakeReason;
using std::chrono::milliseconds;

// Children that programs have started. Guarded by the mutex; a worker has few.
struct OwnedChild {
  pid_t pid;
  const ProgramState* owner;
};
constinit pthread_mutex_t g_children_mutex = PTHREAD_MUTEX_INITIALIZER;
std::vector<OwnedChild>& Children() {
  static auto* children = new std::vector<OwnedChild>;
  return *children;
}

class ChildrenLock {
 public:
  ChildrenLock() { real::pthread_mutex_lock(&g_children_mutex); }
  ~ChildrenLock() { real::pthread_mutex_unlock(&g_children_mutex); }
  ChildrenLock(const ChildrenLock&) = delete;
  ChildrenLock& operator=(const ChildrenLock&) = delete;

 private:
  ServerScope server_;  // the table outlives the program
};

void ForgetChild(pid_t pid) {
  ChildrenLock lock;
  std::erase_if(Children(), [&](const OwnedChild& child) { return child.pid == pid; });
}

// Whether a wait by `self` may see the child.
bool MayWaitFor(pid_t pid, const ProgramState* self) {
  ChildrenLock lock;
  for (const OwnedChild& child : Children())
    if (child.pid == pid) return child.owner == self;
  return self == nullptr;
}

bool AnyOwned() {
  ChildrenLock lock;
  return !Children().empty();
}

std::vector<pid_t> ChildrenOf(const ProgramState* self) {
  ChildrenLock lock;
  std::vector<pid_t> pids;
  for (const OwnedChild& child : Children())
    if (child.owner == self) pids.push_back(child.pid);
  return pids;
}

// All children of this process, whichever thread started them. Empty if the kernel does not tell.
std::vector<pid_t> ChildrenOfProcess() {
  std::vector<pid_t> pids;
  DIR* tasks = real::opendir("/proc/self/task");
  if (tasks == nullptr) return pids;
  for (const dirent* task; (task = readdir(tasks)) != nullptr;) {
    if (task->d_name[0] == '.') continue;
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/children", task->d_name);
    const int fd = static_cast<int>(real::syscall(
        SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC, 0, 0, 0));
    if (fd < 0) continue;
    char text[4096];
    ssize_t got = 0, rest = 0;
    while ((got = real::read(fd, text + rest, sizeof text - 1 - static_cast<size_t>(rest))) > 0) {
      text[rest + got] = '\0';
      char* at = text;
      for (char* end; (end = strchr(at, ' ')) != nullptr; at = end + 1) pids.push_back(atoi(at));
      rest = static_cast<ssize_t>(strlen(at));
      memmove(text, at, static_cast<size_t>(rest));
    }
    real::close(fd);
  }
  closedir(tasks);
  return pids;
}

int OpenPidfd(pid_t pid) {
  return static_cast<int>(real::syscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0));
}

// The pidfds of the children that a wait is about, for as long as it waits.
class Pidfds {
 public:
  Pidfds() = default;
  ~Pidfds() { Close(); }
  Pidfds(const Pidfds&) = delete;
  Pidfds& operator=(const Pidfds&) = delete;

  // Open() replaces them. False if not every child can be watched.
  bool Open(const std::vector<pid_t>& pids) {
    constexpr size_t kMost = 256;
    Close();
    fds_.reserve(std::min(pids.size(), kMost));  // before there is one that could be lost
    for (const pid_t pid : pids) {
      if (fds_.size() == kMost) return false;
      const int fd = OpenPidfd(pid);
      if (fd >= 0) fds_.push_back(fd);
      if (fd < 0 && errno != ESRCH) return false;
    }
    return true;
  }

  // Waits until one of the children has ended; kNoMemory: they cannot be watched. Yields.
  [[nodiscard]] WakeReason Wait(Deadline deadline) const {
    if (fds_.empty()) return coroutine::SleepUntil(deadline);
    if (fds_.size() == 1) return coroutine::WaitFd(fds_[0], EPOLLIN, deadline);
    std::vector<pollfd> set;
    set.reserve(fds_.size());
    for (const int fd : fds_) set.push_back({fd, POLLIN, 0});
    const int ready = coroutine::PollFds(set.data(), set.size(), deadline);
    if (ready < 0) return errno == ENOMEM ? WakeReason::kNoMemory : WakeReason::kCancelled;
    return ready == 0 ? WakeReason::kTimeout : WakeReason::kReady;
  }

 private:
  void Close() {
    for (const int fd : fds_) {
      coroutine::ForgetFd(fd);
      real::close(fd);
    }
    fds_.clear();
  }
  std::vector<int> fds_;
};

// What a wait is about: one child, or a set of them.
class ChildSet {
 public:
  ChildSet(idtype_t type, pid_t id) : type_(type), id_(id) {}

  [[nodiscard]] bool one() const { return type_ == P_PID; }
  [[nodiscard]] pid_t id() const { return id_; }

  // The children of the set that the calling program may see.
  [[nodiscard]] std::vector<pid_t> Members() const {
    const ProgramState* self = CurrentProgram();
    if (one()) return MayWaitFor(id_, self) ? std::vector<pid_t>{id_} : std::vector<pid_t>{};
    std::vector<pid_t> pids = self != nullptr ? ChildrenOf(self) : ChildrenOfProcess();
    std::erase_if(pids, [&](pid_t pid) {
      return !MayWaitFor(pid, self) ||
             (type_ == P_PGID && getpgid(pid) != (id_ == 0 ? getpgrp() : id_));
    });
    return pids;
  }

  // Whether the kernel's own idea of the set is right: no program has children that must be left
  // alone.
  [[nodiscard]] bool AsTheKernelSeesIt() const {
    return CurrentProgram() == nullptr && !AnyOwned();
  }

 private:
  idtype_t type_;
  pid_t id_;
};

// Waits until `attempt(members)` returns something other than 0; it looks without waiting. Returns
// that, or 0 at once if `only_look`. `stops`: stopped and continued children are asked for, which
// pidfds do not tell. Yields.
template <class Attempt>
pid_t WaitUntil(const ChildSet& set, bool only_look, bool stops, Attempt attempt) {
  Pidfds pidfds;
  Backoff backoff{milliseconds(stops ? 32 : 128)};
  for (bool ended = false;;) {
    const std::vector<pid_t> members = set.Members();
    const pid_t result = attempt(members);
    if (result != 0 || only_look) return result;
    if (ended) {
      // For the pidfd, but it is not to be waited for yet: other threads of it are about to end.
      ParkAt(&t_lot, coroutine::After(milliseconds(1)));
      ended = false;
      continue;
    }
    const bool watched = pidfds.Open(members);
    // A set is looked at again now and then: another thread may start a child that belongs to it.
    const Deadline until = set.one() && watched && !stops ? coroutine::kNoDeadline : backoff.Next();
    WakeReason reason = pidfds.Wait(until);
    if (reason == WakeReason::kNoMemory) reason = coroutine::SleepUntil(backoff.Next());
    if (reason == WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
    ended = reason == WakeReason::kReady;
  }
}

// Each member in turn, by a call that does not wait: `look(pid)` returns the pid, 0, or -1.
template <class Look>
pid_t LookAtEach(const std::vector<pid_t>& members, Look look) {
  bool any = false;
  for (const pid_t pid : members) {
    const pid_t result = look(pid);
    if (result > 0 || (result < 0 && errno != ECHILD)) return result;
    any = any || result == 0;
  }
  if (any) return 0;
  errno = ECHILD;
  return -1;
}

// A set as wait4() writes it.
ChildSet SetOf(pid_t pid) {
  if (pid > 0) return {P_PID, pid};
  if (pid == -1) return {P_ALL, 0};
  return {P_PGID, pid == 0 ? 0 : -pid};
}

// Waits for one child without memory: `look(pid)` is asked again and again.
template <class Look>
pid_t WaitByLooking(pid_t pid, bool only_look, Look look) {
  Backoff backoff{milliseconds(32)};
  for (;;) {
    const pid_t result = look(pid);
    if (result != 0 || only_look) return result;
    if (coroutine::SleepUntil(backoff.Next()) == WakeReason::kCancelled) {
      errno = ECANCELED;
      return -1;
    }
  }
}

// By `look(pid)`, which does not wait, on the members of `set`; where there is no memory, on the
// one child, if it is one.
template <class Look>
pid_t WaitForMembers(const ChildSet& set, bool only_look, bool stops, Look look) {
  try {
    return WaitUntil(set, only_look, stops,
                     [&](const std::vector<pid_t>& members) { return LookAtEach(members, look); });
  } catch (const std::bad_alloc&) {
  }
  if (set.one() && MayWaitFor(set.id(), CurrentProgram()))
    return WaitByLooking(set.id(), only_look, look);
  errno = ENOMEM;
  return -1;
}

int WaitById(const ChildSet& set, siginfo_t* info, int options) {
  const bool stops = (options & (WSTOPPED | WCONTINUED)) != 0;
  // Whether something was found shows in the answer only.
  siginfo_t found{};
  auto look = [&](pid_t pid) -> pid_t {
    found.si_pid = 0;
    if (real::waitid(P_PID, static_cast<id_t>(pid), &found, options | WNOHANG) != 0) return -1;
    if (found.si_pid != 0 && (options & WNOWAIT) == 0 && (options & WEXITED) != 0 &&
        (found.si_code == CLD_EXITED || found.si_code == CLD_KILLED || found.si_code == CLD_DUMPED))
      ForgetChild(found.si_pid);
    return found.si_pid;
  };
  if (WaitForMembers(set, (options & WNOHANG) != 0, stops, look) < 0) return -1;
  if (info != nullptr) *info = found;
  return 0;
}

int WaitByPidfd(int fd, siginfo_t* info, int options) {
  const int kernel_fd = Resolve(fd).fd;
  for (;;) {
    siginfo_t found{};
    const int result =
        real::waitid(P_PIDFD, static_cast<id_t>(kernel_fd), &found, options | WNOHANG);
    if (result != 0 || found.si_pid != 0 || (options & WNOHANG) != 0) {
      if (result == 0 && info != nullptr) *info = found;
      return result;
    }
    const bool stops = (options & (WSTOPPED | WCONTINUED)) != 0;
    const Deadline until = stops ? coroutine::After(milliseconds(16)) : coroutine::kNoDeadline;
    WakeReason reason = coroutine::WaitFd(kernel_fd, EPOLLIN, until);
    if (reason == WakeReason::kNoMemory)
      reason = coroutine::SleepUntil(coroutine::After(milliseconds(16)));
    if (reason == WakeReason::kCancelled || reason == WakeReason::kClosed) {
      errno = reason == WakeReason::kCancelled ? ECANCELED : EBADF;
      return -1;
    }
  }
}

int WaitIdInCoroutine(idtype_t type, id_t id, siginfo_t* info, int options) {
  // Invalid options are refused before anything else.
  constexpr int kKnown =
      WNOHANG | WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | __WNOTHREAD | __WALL | __WCLONE;
  if ((options & ~kKnown) != 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) == 0)
    return real::waitid(type, id, info, options);
  if (type == P_PIDFD) return WaitByPidfd(static_cast<int>(id), info, options);
  const auto number = static_cast<pid_t>(id);
  const bool valid =
      type == P_ALL || (type == P_PID && number > 0) || (type == P_PGID && number >= 0);
  if (!valid) return real::waitid(type, id, info, options);
  return WaitById({type, number}, info, options);
}

// Reaps children whose program has ended, as init would.
void ReapAbandoned(std::vector<pid_t> pids) {
  while (!pids.empty()) {
    std::erase_if(pids, [](pid_t pid) {
      const bool gone = real::wait4(pid, nullptr, WNOHANG, nullptr) != 0;
      if (gone) ForgetChild(pid);
      return gone;
    });
    if (pids.empty()) return;
    Pidfds pidfds;
    const bool watched = pidfds.Open(pids);
    const Deadline until = watched ? coroutine::kNoDeadline : coroutine::After(milliseconds(100));
    if (pidfds.Wait(until) == WakeReason::kCancelled) return;
  }
}

// wait4() that does not wait.
pid_t LookByWait4(pid_t pid, int* status, int options, rusage* usage) {
  const pid_t result = real::wait4(pid, status, options | WNOHANG, usage);
  if (result > 0 && (WIFEXITED(*status) || WIFSIGNALED(*status))) ForgetChild(result);
  return result;
}

// wait4() on pidfds. Throws std::bad_alloc.
pid_t WaitOnPidfds(pid_t pid, int* status, int options, rusage* usage) {
  if (pid == INT_MIN) return real::wait4(pid, status, options, usage);  // an error
  const ChildSet set = SetOf(pid);
  const bool stops = (options & (WUNTRACED | WCONTINUED)) != 0;
  int found = 0;
  auto look = [&](pid_t which) { return LookByWait4(which, &found, options, usage); };
  const pid_t result =
      WaitUntil(set, (options & WNOHANG) != 0, stops, [&](const std::vector<pid_t>& members) {
        // The kernel says ECHILD, EINVAL and the like best; and it finds children of which /proc
        // does not tell.
        return set.AsTheKernelSeesIt() ? look(pid) : LookAtEach(members, look);
      });
  if (result > 0 && status != nullptr) *status = found;
  return result;
}

}  // namespace

pid_t WaitForChild(pid_t pid, int* status, int options, rusage* usage) {
  try {
    return WaitOnPidfds(pid, status, options, usage);
  } catch (const std::bad_alloc&) {
  }
  errno = ENOMEM;
  if (pid <= 0 || !MayWaitFor(pid, CurrentProgram())) return -1;
  int found = 0;
  const pid_t result = WaitByLooking(pid, (options & WNOHANG) != 0, [&](pid_t which) {
    return LookByWait4(which, &found, options, usage);
  });
  if (result > 0 && status != nullptr) *status = found;
  return result;
}

void RecordChild(pid_t pid, const ProgramState* owner) {
  if (owner == nullptr || pid <= 0) return;
  ChildrenLock lock;
  Children().push_back({pid, owner});
}

void AbandonChildren(const ProgramState& owner) {
  std::vector<pid_t> pids;
  {
    ChildrenLock lock;
    for (OwnedChild& child : Children()) {
      if (child.owner != &owner) continue;
      pids.push_back(child.pid);
      // Nobody's: a later program with the same address must not see it, and neither must the
      // server's own waits.
      static const char nobody = 0;
      child.owner = reinterpret_cast<const ProgramState*>(&nobody);
    }
  }
  std::erase_if(pids, [](pid_t pid) {
    const bool gone = real::wait4(pid, nullptr, WNOHANG, nullptr) != 0;
    if (gone) ForgetChild(pid);
    return gone;
  });
  if (pids.empty() || coroutine::Scheduler::Current() == nullptr) return;
  ServerScope server;
  try {
    coroutine::Go([pids] { ReapAbandoned(pids); }, {.name = "reaper", .hooks = false});
  } catch (const std::system_error&) {
    // Too many coroutines: the zombies stay until the process ends.
  }
}

}  // namespace cogi::hooks

extern "C" {

COGI_API pid_t CogiWaitPid(pid_t pid, int* status, int options) __asm__("waitpid");
COGI_API pid_t CogiWaitPid2(pid_t pid, int* status, int options) __asm__("__waitpid");
COGI_API pid_t CogiWait(int* status) __asm__("wait");
COGI_API pid_t CogiWait3(int* status, int options, rusage* usage) __asm__("wait3");
COGI_API pid_t CogiWait4(pid_t pid, int* status, int options, rusage* usage) __asm__("wait4");
COGI_API int CogiWaitId(idtype_t type, id_t id, siginfo_t* info, int options) __asm__("waitid");

pid_t CogiWaitPid(pid_t pid, int* status, int options) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::waitpid(pid, status, options);
  CallRecord record(Call::waitpid, pid);
  return record.Done(WaitForChild(pid, status, options, nullptr));
}
pid_t CogiWaitPid2(pid_t pid, int* status, int options) {
  return CogiWaitPid(pid, status, options);
}

pid_t CogiWait(int* status) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::wait(status);
  CallRecord record(Call::wait, -1);
  return record.Done(WaitForChild(-1, status, 0, nullptr));
}

pid_t CogiWait3(int* status, int options, rusage* usage) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::wait3(status, options, usage);
  CallRecord record(Call::wait3, -1);
  return record.Done(WaitForChild(-1, status, options, usage));
}

pid_t CogiWait4(pid_t pid, int* status, int options, rusage* usage) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::wait4(pid, status, options, usage);
  CallRecord record(Call::wait4, pid);
  return record.Done(WaitForChild(pid, status, options, usage));
}

int CogiWaitId(idtype_t type, id_t id, siginfo_t* info, int options) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::waitid(type, id, info, options);
  CallRecord record(Call::waitid, static_cast<int64_t>(id));
  return record.Done(WaitIdInCoroutine(type, id, info, options));
}
}
