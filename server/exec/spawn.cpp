#include "server/exec/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
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

// The kernel's struct sigaction, as far as all CPUs have it.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
  unsigned long mask;
};

// What ReserveSpawnDescriptors() has taken and found.
struct Reserved {
  int number[3] = {-1, -1, -1};
  int nothing = -1;      // /dev/null, which stands there between two starts
  bool terminal = true;  // this process has a controlling terminal, or it is not known
  // Signals that this process handles, and those that it ignores, a bit for each from 1 on. Later
  // handlers are undone by the exec.
  bool signals_known = false;
  uint64_t handled_signals = 0;
  uint64_t ignored_signals = 0;
};
constinit thread_local Reserved t_reserved;

struct Job {
  const SpawnPlan* plan;
  uint64_t signals;  // whose action the child has to reset, a bit for each from 1 on
  int error;         // what the child could not do
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

void ResetSignals(uint64_t signals) {
  const KernelAction by_default{};
  for (uint64_t left = signals; left != 0; left &= left - 1)
    Call(SYS_rt_sigaction, std::countr_zero(left) + 1, Arg(&by_default), 0, kSignalSet);
  const unsigned long none = 0;
  Call(SYS_rt_sigprocmask, SIG_SETMASK, Arg(&none), 0, kSignalSet);
}

long BecomeProgram(const SpawnPlan& plan, uint64_t signals) {
  // A session leaves the terminal, and costs the kernel a scheduling group for the few hundred
  // microseconds that most programs live.
  if (plan.session || t_reserved.terminal)
    Call(SYS_setsid);
  else
    Call(SYS_setpgid, 0, 0);
  if (plan.death_signal != 0) Call(SYS_prctl, PR_SET_PDEATHSIG, plan.death_signal);
  if (const long failed = TakeDescriptors(); failed < 0) return failed;
  if (const long failed = Call(SYS_chdir, Arg(plan.directory)); failed < 0) return failed;
  if (const long failed = TakeLimits(plan.limits); failed < 0) return failed;
  ResetSignals(signals);
  return Call(SYS_execve, Arg(plan.path), Arg(plan.arguments), Arg(plan.environment));
}

int RunChild(void* argument) {
  auto& job = *static_cast<Job*>(argument);
  job.error = static_cast<int>(-BecomeProgram(*job.plan, job.signals));
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

constexpr uint64_t kShared = CLONE_VM | CLONE_VFORK | CLONE_FILES;

// As clone(2), and no handler of this process can run in the child any more. Of libc's functions
// none can ask for that. -ENOSYS where it cannot be asked for at all.
long CloneWithoutHandlers(char* stack, Job& job) {
#if defined(__x86_64__) && defined(CLONE_CLEAR_SIGHAND)
  clone_args arguments{};
  arguments.flags = kShared | CLONE_CLEAR_SIGHAND;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(stack);
  arguments.stack_size = kChildStack;
  long result;
  // The child begins after the call as well, on its own empty stack, which RunChild() never leaves.
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %[job], %%rdi\n\t"
      "call *%[run]\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(&arguments),
        "S"(sizeof arguments), [run] "r"(&RunChild), [job] "r"(&job)
      : "rcx", "r11", "memory");
  return result;
#else
  static_cast<void>(stack);
  static_cast<void>(job);
  return -ENOSYS;
#endif
}

// The same for kernels before 5.5 and for filters of system calls that do not know clone3 (Docker's
// answers ENOSYS, others EPERM): all signals are blocked until the child has reset what is handled.
long CloneBlocked(char* stack, Job& job) {
  job.signals = t_reserved.handled_signals | t_reserved.ignored_signals;
  const SignalsBlocked blocked;
  const int process =
      ::clone(RunChild, stack + kChildStack, static_cast<int>(kShared) | SIGCHLD, &job);
  return process < 0 ? -errno : process;
}

// Both return when the child has exec'ed or ended (CLONE_VFORK), or a negative errno.
long Clone(char* stack, Job& job) {
  thread_local bool has_clone3 = true;
  if (has_clone3) {
    job.signals = t_reserved.ignored_signals;
    const long process = CloneWithoutHandlers(stack, job);
    has_clone3 = process != -ENOSYS && process != -EPERM && process != -EINVAL;
    if (has_clone3) return process;
  }
  return CloneBlocked(stack, job);
}

void FindChangedSignals() {
  for (int number = 1; number <= kSignals; ++number) {
    KernelAction action{};
    Call(SYS_rt_sigaction, number, 0, Arg(&action), kSignalSet);
    const auto how = reinterpret_cast<uintptr_t>(action.handler);
    const uint64_t bit = uint64_t{1} << (number - 1);
    if (how == reinterpret_cast<uintptr_t>(SIG_IGN))
      t_reserved.ignored_signals |= bit;
    else if (how != reinterpret_cast<uintptr_t>(SIG_DFL))
      t_reserved.handled_signals |= bit;
  }
  t_reserved.signals_known = true;
}

// ENXIO: there is none (tty(4)).
void FindTerminal() {
  const long terminal = Call(SYS_openat, AT_FDCWD, Arg("/dev/tty"), O_RDONLY | O_CLOEXEC);
  t_reserved.terminal = terminal != -ENXIO;
  if (terminal >= 0) Call(SYS_close, terminal);
}

}  // namespace

void ReserveSpawnDescriptors() {
  if (t_reserved.nothing < 0) {
    t_reserved.nothing =
        static_cast<int>(Call(SYS_openat, AT_FDCWD, Arg("/dev/null"), O_RDWR | O_CLOEXEC));
    FindTerminal();
  }
  for (int& number : t_reserved.number)
    if (number < 0)
      number = static_cast<int>(Call(SYS_fcntl, t_reserved.nothing, F_DUPFD_CLOEXEC, 3));
}

int SpawnProcess(const SpawnPlan& plan, pid_t* pid) {
  ReserveSpawnDescriptors();
  if (!t_reserved.signals_known) FindChangedSignals();
  for (int i = 0; i < 3; ++i) {
    if (plan.standard[i] < 0) continue;
    if (const long failed = Call(SYS_dup3, plan.standard[i], t_reserved.number[i], O_CLOEXEC);
        failed < 0)
      return static_cast<int>(-failed);
  }
  Job job = {&plan, 0, 0};
  const auto stack = std::make_unique_for_overwrite<char[]>(kChildStack);
  const long process = Clone(stack.get(), job);
  if (process < 0) job.error = static_cast<int>(-process);
  for (int i = 0; i < 3; ++i)
    if (plan.standard[i] >= 0) Call(SYS_dup3, t_reserved.nothing, t_reserved.number[i], O_CLOEXEC);
  if (job.error == 0) {
    *pid = static_cast<pid_t>(process);
    return 0;
  }
  if (process >= 0) Call(SYS_wait4, process, 0, 0, 0);
  return job.error;
}

}  // namespace cogi::server
