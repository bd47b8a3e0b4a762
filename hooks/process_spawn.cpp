#include "hooks/process_spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <list>
#include <new>
#include <vector>

#include "coroutine/coroutine.h"
#include "hooks/calls.h"
#include "hooks/descriptors.h"
#include "hooks/fd_table.h"
#include "hooks/lock_parking.h"
#include "hooks/process_spawn_actions.h"
#include "hooks/process_spawn_standard.h"
#include "hooks/process_wait.h"
#include "hooks/program.h"
#include "hooks/program_path.h"
#include "hooks/program_stdio.h"
#include "hooks/real.h"

extern char** environ;

extern "C" {
COGI_API pid_t CogiFork() __asm__("fork");
COGI_API pid_t CogiFork2() __asm__("__fork");
COGI_API int CogiSpawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const* arguments,
                       char* const* environment) __asm__("posix_spawn");
COGI_API int CogiSpawnP(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                        const posix_spawnattr_t* attributes, char* const* arguments,
                        char* const* environment) __asm__("posix_spawnp");
COGI_API int CogiSystem(const char* command) __asm__("system");
COGI_API FILE* CogiPopen(const char* command, const char* mode) __asm__("popen");
COGI_API int CogiPclose(FILE* file) __asm__("pclose");
// Called by the assembly below.
__attribute__((used)) void* CogiVforkTarget();
}

namespace cogi::hooks {

namespace {

// Before a child is made: the descriptors that it gets must be such as a process expects. Returns 0
// or an errno. Yields.
int PrepareForChild(ProgramState* program) {
  if (program != nullptr) {
    if (const int result = MakeStandardReal(*program); result != 0) return result;
  }
  FdTable::ShowHidden();
  return 0;
}

// In the forked child of a program: descriptors 0 to 2 are the program's, there are no others than
// its own, and its working directory and umask are the process's now. It is in a process group of
// its own: what it sends to its group (kill 0) must not reach the server.
void EnterChild(ProgramState& program) {
  program.EnteredChild();
  real::syscall(SYS_setpgid, 0, 0, 0, 0, 0, 0);
  if (Program* running = Program::Current()) running->place().Apply();
  int sources[3];
  for (int fd = 0; fd < 3; ++fd) {
    // Out of the way first: one's source may be another's target.
    const int source = program.Resolve(fd).fd;
    sources[fd] =
        source < 0 ? -1 : real::fcntl(source, F_DUPFD_CLOEXEC, reinterpret_cast<void*>(3));
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (sources[fd] < 0)
      real::close(fd);
    else
      real::dup2(sources[fd], fd);
  }
  const auto close_between = [](unsigned first, unsigned last) {
    if (first <= last) real::syscall(SYS_close_range, first, last, 0, 0, 0, 0);
  };
  const long most = sysconf(_SC_OPEN_MAX);
  unsigned next = 3;
  for (int fd = 3; fd < most; ++fd) {
    const Descriptor what = program.Resolve(fd);
    if (what.fd != fd) continue;
    close_between(next, static_cast<unsigned>(fd) - 1);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_between(next, UINT_MAX);
}

pid_t ForkInCoroutine() {
  ProgramState* program = CurrentProgram();
  if (const int error = PrepareForChild(program); error != 0) {
    errno = error == EMFILE || error == ENFILE ? EAGAIN : error;
    return -1;
  }
  const pid_t pid = real::fork();
  if (pid == 0 && program != nullptr) EnterChild(*program);
  if (pid > 0 && program != nullptr) real::syscall(SYS_setpgid, pid, pid, 0, 0, 0, 0);
  if (pid > 0) RecordChild(pid, program);
  return pid;
}

// The descriptors of a program for its child: 0 to 2, and none of others that would survive the
// exec.
int AddOwnDescriptors(ProgramState& program, FileActions& actions) {
  int result = 0;
  for (int fd = 0; fd < 3 && result == 0; ++fd) {
    const int source = program.Resolve(fd).fd;
    result = source < 0 ? posix_spawn_file_actions_addclose(actions.Get(), fd)
                        : posix_spawn_file_actions_adddup2(actions.Get(), source, fd);
  }
  ServerScope server;
  DIR* open = real::opendir("/proc/self/fd");
  if (open == nullptr) return result;
  for (const dirent* entry; result == 0 && (entry = readdir(open)) != nullptr;) {
    const int fd = atoi(entry->d_name);
    if (fd < 3 || fd == dirfd(open) || program.Resolve(fd).fd == fd) continue;
    if ((real::fcntl(fd, F_GETFD, nullptr) & FD_CLOEXEC) == 0)
      result = posix_spawn_file_actions_addclose(actions.Get(), fd);
  }
  closedir(open);
  return result;
}

struct SpawnCall {
  const char* path;
  const posix_spawnattr_t* attributes;
  char* const* arguments;
  char* const* environment;
  bool search;  // posix_spawnp
};

int RealSpawn(pid_t* pid, const SpawnCall& call, const posix_spawn_file_actions_t* actions) {
  return call.search ? real::posix_spawnp(pid, call.path, actions, call.attributes, call.arguments,
                                          call.environment)
                     : real::posix_spawn(pid, call.path, actions, call.attributes, call.arguments,
                                         call.environment);
}

int SpawnInCoroutine(pid_t* pid, const SpawnCall& call, const posix_spawn_file_actions_t* actions) {
  ProgramState* program = CurrentProgram();
  if (const int error = PrepareForChild(program); error != 0) return error;
  pid_t child = 0;
  int result = 0;
  if (program == nullptr) {
    result = RealSpawn(&child, call, actions);
  } else {
    FileActions own;
    if (result = AddOwnDescriptors(*program, own); result != 0) return result;
    const posix_spawn_file_actions_t* joined = own.Join(actions);
    if (joined == nullptr) return ENOMEM;
    const OwnGroup group(call.attributes);
    SpawnCall placed = call;
    placed.attributes = group.Get();
    // The child starts where the program is, whatever the paths are.
    const PathScope place(".");
    if (!place.ok()) return errno;
    result = RealSpawn(&child, placed, joined);
  }
  if (result != 0) return result;
  RecordChild(child, program);
  if (pid != nullptr) *pid = child;
  return 0;
}

// Starts a shell; with `fd` as its `target` (0 or 1) if it is not -1. Returns its pid, or -1 with
// errno.
pid_t StartShell(const char* command, int fd, int target) {
  char name[] = "sh", option[] = "-c";
  char* const arguments[] = {name, option, const_cast<char*>(command), nullptr};
  FileActions actions;
  if (fd != -1) {
    if (const int error = posix_spawn_file_actions_adddup2(actions.Get(), fd, target); error != 0) {
      errno = error;
      return -1;
    }
  }
  pid_t pid = -1;
  if (const int error =
          SpawnInCoroutine(&pid, {"/bin/sh", nullptr, arguments, environ, false}, actions.Get());
      error != 0) {
    errno = error;
    return -1;
  }
  return pid;
}

// Waits for a shell. If the coroutine is cancelled, the shell is killed, as pthread_cancel would
// have it.
int WaitForShell(pid_t pid) {
  int status = 0;
  if (WaitForChild(pid, &status, 0, nullptr) == pid) return status;
  if (errno != ECANCELED) return -1;
  if (kill(-pid, SIGKILL) != 0) kill(pid, SIGKILL);
  while (WaitForChild(pid, &status, WNOHANG, nullptr) == 0)
    ParkAt(&t_lot, coroutine::After(std::chrono::milliseconds(1)));
  errno = ECANCELED;
  return -1;
}

int SystemInCoroutine(const char* command) {
  if (command == nullptr) return SystemInCoroutine("exit 0") == 0;
  const pid_t pid = StartShell(command, -1, -1);
  constexpr int kShellNotFound = 127;
  return pid < 0 ? W_EXITCODE(kShellNotFound, 0) : WaitForShell(pid);
}

// What `make` returns; 0 with errno ENOMEM without memory.
template <class Make>
pid_t OrNoMemory(Make make) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return 0;
  }
}

// The shells behind the streams of popen(). Guarded by the mutex.
struct OpenShell {
  FILE* file;
  pid_t pid;
  const ProgramState* owner;
};
constinit pthread_mutex_t g_shells_mutex = PTHREAD_MUTEX_INITIALIZER;
std::list<OpenShell>& Shells() {
  static auto* shells = new std::list<OpenShell>;
  return *shells;
}

template <class Work>
auto WithShells(Work work) {
  ServerScope server;
  real::pthread_mutex_lock(&g_shells_mutex);
  auto result = work(Shells());
  real::pthread_mutex_unlock(&g_shells_mutex);
  return result;
}

// The shell of `file`, which is forgotten; -1: it is none of ours.
pid_t TakeShell(FILE* file) {
  return WithShells([&](std::list<OpenShell>& shells) {
    for (auto shell = shells.begin(); shell != shells.end(); ++shell) {
      if (shell->file != file) continue;
      const pid_t pid = shell->pid;
      shells.erase(shell);
      return pid;
    }
    return -1;
  });
}

// `place` is the shell's in the list.
void KeepShell(std::list<OpenShell>& place, FILE* file, pid_t pid) {
  TakeShell(file);  // one that was closed by fclose()
  place.front() = {file, pid, CurrentProgram()};
  WithShells([&](std::list<OpenShell>& shells) {
    shells.splice(shells.end(), place);
    return 0;
  });
}

// "r" or "w", and "e", in any order and number, one direction only.
bool ParseMode(const char* mode, bool& reads) {
  bool read = false, write = false;
  for (; *mode != '\0'; ++mode) {
    read = read || *mode == 'r';
    write = write || *mode == 'w';
    if (*mode != 'r' && *mode != 'w' && *mode != 'e') return false;
  }
  reads = read;
  return read != write;
}

// The pipe's end is closed on exec whether "e" is given or not: POSIX wants later children of
// popen() not to have it, and no other child has a use for it.
FILE* PopenInCoroutine(const char* command, const char* mode) {
  bool reads = false;
  if (!ParseMode(mode, reads)) {
    errno = EINVAL;
    return nullptr;
  }
  std::list<OpenShell> place;
  if (!OrNoMemory([&] {
        ServerScope server;
        place.emplace_back();
        return 1;
      }))
    return nullptr;
  int ends[2];
  if (real::pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  const int ours = ends[reads ? 0 : 1], theirs = ends[reads ? 1 : 0];
  const pid_t pid =
      OrNoMemory([&] { return StartShell(command, theirs, reads ? STDOUT_FILENO : STDIN_FILENO); });
  int error = pid == 0 ? ENOMEM : errno;
  real::close(theirs);
  FILE* file = nullptr;
  if (pid > 0) {
    real::fcntl(ours, F_SETFL, reinterpret_cast<void*>(O_NONBLOCK));
    FdTable::Adopt(ours, {.kind = FdKind::kPipe, .hidden = true});
    file = CookieFile(Owned(ours), reads ? "r" : "w");
    error = errno;
  }
  if (file == nullptr) {
    if (pid > 0) {
      FdTable::Release(ours);
      if (ProgramState* program = CurrentProgram()) program->Closed(ours);
      kill(pid, SIGKILL);
      WaitForShell(pid);
    }
    real::close(ours);
    errno = error;
    return nullptr;
  }
  if (Program* program = Program::Current(); program != nullptr)
    program->open_files().Add({file, OpenFiles::Kind::kCookie, nullptr});
  KeepShell(place, file, pid);
  return file;
}

int CloseShell(FILE* file, pid_t pid) {
  fclose(file);
  if (LockHooked()) return WaitForShell(pid);
  int status = 0;
  while (real::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

}  // namespace

int ReplaceProgram(Program& program, const char* path, bool search, char* const* arguments,
                   char* const* environment) {
  pid_t pid = -1;
  if (const int error =
          SpawnInCoroutine(&pid, {path, nullptr, arguments, environment, search}, nullptr);
      error != 0) {
    errno = error;
    return -1;
  }
  const int status = WaitForShell(pid);
  program.AfterInterruption();  // a cancelled program ends as one
  if (status >= 0 && WIFSIGNALED(status))
    program.Terminate(ProgramEnd::kSignalled, WTERMSIG(status));
  program.Terminate(ProgramEnd::kExited, status < 0 ? 1 : WEXITSTATUS(status));
}

void FinishChildren(ProgramState& program) {
  WithShells([&](std::list<OpenShell>& shells) {
    shells.remove_if([&](const OpenShell& shell) { return shell.owner == &program; });
    return 0;
  });
  FinishStandard(program);
  AbandonChildren(program);
}

}  // namespace cogi::hooks

// vfork() cannot be wrapped by a function: its caller goes on in the child, on the stack that the
// wrapper has left. So the wrapper jumps: to fork() inside a coroutine, where the child's hooked
// calls would edit its parent's tables, else to libc's vfork(). On other CPUs it is always fork().
#if defined(__x86_64__)
__asm__(
    ".text\n.globl vfork\n.globl __vfork\n.type vfork, @function\n.type __vfork, @function\n"
    "vfork:\n__vfork:\n.cfi_startproc\nendbr64\n"
    "subq $8, %rsp\n.cfi_adjust_cfa_offset 8\ncall CogiVforkTarget\n"
    "addq $8, %rsp\n.cfi_adjust_cfa_offset -8\njmp *%rax\n.cfi_endproc\n.size vfork, . - vfork\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl vfork\n.globl __vfork\n.type vfork, %function\n.type __vfork, %function\n"
    "vfork:\n__vfork:\n.cfi_startproc\nbti c\n"
    "stp x29, x30, [sp, #-16]!\n.cfi_adjust_cfa_offset 16\nbl CogiVforkTarget\n"
    "ldp x29, x30, [sp], #16\n.cfi_adjust_cfa_offset -16\nmov x16, x0\nbr x16\n.cfi_endproc\n"
    ".size vfork, . - vfork\n");
#else
extern "C" {
COGI_API pid_t CogiVfork() __asm__("vfork");
pid_t CogiVfork() { return CogiFork(); }
}
#endif

extern "C" {

void* CogiVforkTarget() {
  using namespace cogi::hooks;
  if (LockHooked()) return reinterpret_cast<void*>(&CogiFork);
  static void* const real_vfork = reinterpret_cast<void*>(real::vfork.Resolve());
  return real_vfork;
}

pid_t CogiFork() {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::fork();
  CallRecord record(Call::fork, 0);
  return record.Done(ForkInCoroutine());
}
pid_t CogiFork2() { return CogiFork(); }

int CogiSpawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
              const posix_spawnattr_t* attributes, char* const* arguments,
              char* const* environment) {
  using namespace cogi::hooks;
  const SpawnCall call{path, attributes, arguments, environment, false};
  if (!LockHooked()) return RealSpawn(pid, call, actions);
  CallRecord record(Call::posix_spawn, 0);
  return record.Done(SpawnInCoroutine(pid, call, actions));
}

int CogiSpawnP(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* attributes, char* const* arguments,
               char* const* environment) {
  using namespace cogi::hooks;
  const SpawnCall call{file, attributes, arguments, environment, true};
  if (!LockHooked()) return RealSpawn(pid, call, actions);
  CallRecord record(Call::posix_spawnp, 0);
  return record.Done(SpawnInCoroutine(pid, call, actions));
}

int CogiSystem(const char* command) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::system(command);
  CallRecord record(Call::system, 0);
  return record.Done(SystemInCoroutine(command));
}

FILE* CogiPopen(const char* command, const char* mode) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::popen(command, mode);
  CallRecord record(Call::popen, 0);
  FILE* file = PopenInCoroutine(command, mode);
  record.Done(file != nullptr ? 0 : -1);
  return file;
}

int CogiPclose(FILE* file) {
  using namespace cogi::hooks;
  const pid_t pid = TakeShell(file);
  if (pid < 0) return real::pclose(file);
  CallRecord record(Call::pclose, pid);
  return record.Done(CloseShell(file, pid));
}
}
