#include "server/exec/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "coroutine/system_calls.h"

namespace cogi::server {
namespace {

using coroutine::sys::Arg;
using coroutine::sys::Call;

constexpr size_t kChildStack = 32 * 1024;  // the child calls the kernel and nothing else
constexpr uint64_t kCpuGrace = 1;          // seconds
constexpr long kAllDescriptors = ~0U;
constexpr size_t kSignalSet = 8;  // bytes, as the kernel has it
constexpr int kSignals = 64;

// The numbers that ReserveSpawnDescriptors() took.
struct Reserved {
  int number[3] = {-1, -1, -1};
  int nothing = -1;  // /dev/null, which stands there between two starts
};
constinit thread_local Reserved t_reserved;

struct Job {
  const SpawnPlan* plan;
  int error;  // what the child could not do
};

// The child's steps. It runs in the worker's memory while the worker is suspended, so it leaves
// everything as it is, errno included. Each returns 0 or a negative errno.

long TakeLimits(const ResourceLimits& limits) {
  const struct {
    int resource;
    uint64_t value;
  } wanted[] = {{RLIMIT_AS, limits.memory},
                {RLIMIT_CPU, limits.cpu_seconds},
                {RLIMIT_NOFILE, limits.files},
                {RLIMIT_FSIZE, limits.file_size}};
  for (const auto& [resource, value] : wanted) {
    if (value == 0) continue;
    rlimit64 limit{};
    Call(SYS_prlimit64, 0, resource, 0, Arg(&limit));
    limit.rlim_cur = std::min<uint64_t>(value, limit.rlim_max);
    // SIGXCPU comes at the soft limit, and SIGKILL at the hard one.
    const uint64_t last = resource == RLIMIT_CPU ? value + kCpuGrace : value;
    limit.rlim_max = std::min<uint64_t>(last, limit.rlim_max);
    if (const long failed = Call(SYS_prlimit64, 0, resource, Arg(&limit)); failed < 0)
      return failed;
  }
  return 0;
}

// The table of descriptors is the worker's up to here: what lies above the reserved numbers is not
// even copied.
long TakeDescriptors() {
  const int last = std::max({t_reserved.number[0], t_reserved.number[1], t_reserved.number[2]});
  if (const long failed = Call(SYS_close_range, last + 1, kAllDescriptors, CLOSE_RANGE_UNSHARE);
      failed < 0)
    return failed;
  for (int i = 0; i < 3; ++i)
    if (const long failed = Call(SYS_dup3, t_reserved.number[i], i, 0); failed < 0) return failed;
  return Call(SYS_close_range, 3, kAllDescriptors, 0);
}

void ResetSignals() {
  const struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } by_default{};
  for (int number = 1; number <= kSignals; ++number)
    Call(SYS_rt_sigaction, number, Arg(&by_default), 0, kSignalSet);
  const unsigned long none = 0;
  Call(SYS_rt_sigprocmask, SIG_SETMASK, Arg(&none), 0, kSignalSet);
}

long BecomeProgram(const SpawnPlan& plan) {
  Call(SYS_setsid);
  if (const long failed = TakeDescriptors(); failed < 0) return failed;
  if (const long failed = Call(SYS_chdir, Arg(plan.directory)); failed < 0) return failed;
  if (const long failed = TakeLimits(plan.limits); failed < 0) return failed;
  ResetSignals();
  return Call(SYS_execve, Arg(plan.path), Arg(plan.arguments), Arg(plan.environment));
}

int RunChild(void* argument) {
  auto& job = *static_cast<Job*>(argument);
  job.error = static_cast<int>(-BecomeProgram(*job.plan));
  for (;;) Call(SYS_exit_group, 127);
}

// Blocks all signals for a block: a handler must not run in the child, which has this memory.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    const unsigned long all = ~0UL;
    Call(SYS_rt_sigprocmask, SIG_SETMASK, Arg(&all), Arg(&before_), kSignalSet);
  }
  ~SignalsBlocked() { Call(SYS_rt_sigprocmask, SIG_SETMASK, Arg(&before_), 0, kSignalSet); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  unsigned long before_ = 0;
};

}  // namespace

void ReserveSpawnDescriptors() {
  if (t_reserved.nothing < 0)
    t_reserved.nothing =
        static_cast<int>(Call(SYS_openat, AT_FDCWD, Arg("/dev/null"), O_RDWR | O_CLOEXEC));
  for (int& number : t_reserved.number)
    if (number < 0)
      number = static_cast<int>(Call(SYS_fcntl, t_reserved.nothing, F_DUPFD_CLOEXEC, 3));
}

int SpawnProcess(const SpawnPlan& plan, pid_t* pid, UniqueFd* pidfd) {
  ReserveSpawnDescriptors();
  for (int i = 0; i < 3; ++i)
    if (const long failed = Call(SYS_dup3, plan.standard[i], t_reserved.number[i], O_CLOEXEC);
        failed < 0)
      return static_cast<int>(-failed);
  Job job = {&plan, 0};
  const auto stack = std::make_unique_for_overwrite<char[]>(kChildStack);
  int process = -1;
  {
    const SignalsBlocked blocked;
    int descriptor = -1;
    // CLONE_VFORK: it returns when the child has exec'ed or ended.
    process =
        ::clone(RunChild, stack.get() + kChildStack,
                CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, &job, &descriptor);
    if (process < 0)
      job.error = errno;
    else
      pidfd->Reset(descriptor);
  }
  for (const int number : t_reserved.number) Call(SYS_dup3, t_reserved.nothing, number, O_CLOEXEC);
  if (job.error == 0) {
    *pid = process;
    return 0;
  }
  if (process >= 0) {
    Call(SYS_wait4, process, 0, 0, 0);
    pidfd->Reset();
  }
  return job.error;
}

}  // namespace cogi::server
