// Processes: each call with what it returns for children that end in each way, and for bad
// arguments. That others run meanwhile, and what programs see, is in tests/hooks/process.
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string>

#include "tests/hooks/transparency/suite.h"

extern char** environ;

namespace cogi::hooks::transparency {
namespace {

pid_t Shell(const char* command) {
  const char* arguments[] = {"sh", "-c", command, nullptr};
  pid_t pid = -1;
  posix_spawn(&pid, "/bin/sh", nullptr, nullptr, const_cast<char**>(arguments), environ);
  return pid;
}

Outcome Waited(pid_t expected, pid_t got, int status) {
  return Result(got == expected, std::to_string(status));
}

TRANSPARENT(waitpid, "exit status") {
  const pid_t pid = Shell("exit 5");
  int status = 0;
  const pid_t got = waitpid(pid, &status, 0);
  return Waited(pid, got, status);
}
TRANSPARENT(waitpid, "signal") {
  const pid_t pid = Shell("kill -9 $$");
  int status = 0;
  const pid_t got = waitpid(pid, &status, 0);
  return Waited(pid, got, status);
}
TRANSPARENT(waitpid, "without hang") {
  const pid_t pid = Shell("sleep 5");
  const pid_t got = waitpid(pid, nullptr, WNOHANG);
  kill(pid, SIGKILL);
  return Result(got, std::to_string(waitpid(pid, nullptr, 0) == pid));
}
TRANSPARENT(waitpid, "no child") { return Result(waitpid(-1, nullptr, 0)); }
TRANSPARENT(waitpid, "somebody else's child") { return Result(waitpid(1, nullptr, 0)); }
TRANSPARENT(waitpid, "bad options") { return Result(waitpid(-1, nullptr, 0x1000)); }
TRANSPARENT(waitpid, "least number") { return Result(waitpid(INT_MIN, nullptr, 0)); }
TRANSPARENT(waitpid, "process group") {
  const pid_t pid = Shell("exit 6");
  int status = 0;
  const pid_t got = waitpid(0, &status, 0);
  return Waited(pid, got, status);
}
TRANSPARENT(waitpid, "another process group") {
  const pid_t pid = Shell("exit 6");
  const pid_t got = waitpid(-pid, nullptr, 0);
  const int error = errno;
  waitpid(pid, nullptr, 0);
  errno = error;
  return Result(got);
}
TRANSPARENT(wait, "any child") {
  const pid_t pid = Shell("exit 7");
  int status = 0;
  const pid_t got = wait(&status);
  return Waited(pid, got, status);
}
TRANSPARENT(wait, "no child") { return Result(wait(nullptr)); }
TRANSPARENT(wait3, "any child, with usage") {
  const pid_t pid = Shell("exit 7");
  int status = 0;
  rusage usage{};
  const pid_t got = wait3(&status, 0, &usage);
  return Waited(pid, got, status);
}
TRANSPARENT(wait4, "with usage") {
  const pid_t pid = Shell("exit 8");
  int status = 0;
  rusage usage{};
  const pid_t got = wait4(pid, &status, 0, &usage);
  return Waited(pid, got, status + (usage.ru_maxrss > 0));
}
TRANSPARENT(wait4, "no child") { return Result(wait4(-1, nullptr, WNOHANG, nullptr)); }

std::string Text(const siginfo_t& info) {
  return std::to_string(info.si_signo) + ' ' + std::to_string(info.si_code) + ' ' +
         std::to_string(info.si_status);
}
TRANSPARENT(waitid, "ended, looked at first") {
  const pid_t pid = Shell("exit 9");
  siginfo_t first{}, second{};
  waitid(P_PID, static_cast<id_t>(pid), &first, WEXITED | WNOWAIT);
  const int result = waitid(P_ALL, 0, &second, WEXITED);
  return Result(result, Text(first) + ' ' + Text(second));
}
TRANSPARENT(waitid, "nothing yet") {
  const pid_t pid = Shell("sleep 5");
  siginfo_t info{};
  info.si_pid = 77;
  const int result = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  const std::string seen = std::to_string(info.si_pid);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return Result(result, seen);
}
TRANSPARENT(waitid, "no options") { return Result(waitid(P_ALL, 0, nullptr, 0)); }
TRANSPARENT(waitid, "bad type") {
  // The enumeration has no such value; C callers pass what they like.
  using Waitid = int (*)(unsigned, id_t, siginfo_t*, int);
  const auto call = reinterpret_cast<Waitid>(reinterpret_cast<void (*)()>(&waitid));
  return Result(call(99, 0, nullptr, WEXITED));
}
TRANSPARENT(waitid, "pid 0") { return Result(waitid(P_PID, 0, nullptr, WEXITED)); }
TRANSPARENT(waitid, "bad pidfd") { return Result(waitid(P_PIDFD, kClosedFd, nullptr, WEXITED)); }
TRANSPARENT(waitid, "no child") { return Result(waitid(P_ALL, 0, nullptr, WEXITED)); }

TRANSPARENT(fork, "the child's own memory and status") {
  static int value;
  value = 1;
  const pid_t pid = fork();
  if (pid == 0) _exit(++value);
  int status = 0;
  waitpid(pid, &status, 0);
  return Result(value, std::to_string(WEXITSTATUS(status)));
}
TRANSPARENT(vfork, "exec of a command, and of none") {
  int statuses[2] = {0, 0};
  const char* const commands[] = {"/bin/true", "/no/such/command"};
  for (int i = 0; i < 2; ++i) {
    const pid_t pid = vfork();
    if (pid == 0) {
      execl(commands[i], commands[i], nullptr);
      _exit(101);
    }
    waitpid(pid, &statuses[i], 0);
  }
  return Result(WEXITSTATUS(statuses[0]), std::to_string(WEXITSTATUS(statuses[1])));
}

TRANSPARENT(system, "statuses") {
  return Result(system("exit 3"), std::to_string(system("kill -15 $$")) + ' ' +
                                      std::to_string(system("no-such-command 2>/dev/null")) + ' ' +
                                      std::to_string(system(nullptr)));
}

TRANSPARENT(popen, "both ways") {
  FILE* reader = popen("echo hello", "r");
  char line[20] = "";
  const bool read = fgets(line, sizeof line, reader) != nullptr;
  const int first = pclose(reader);
  FILE* writer = popen("read word; test $word = world", "w");
  fputs("world\n", writer);
  return Result(pclose(writer), std::string(line) + std::to_string(read) + std::to_string(first));
}
TRANSPARENT(popen, "bad mode") { return Result(popen("true", "q") == nullptr ? -1 : 0); }
TRANSPARENT(pclose, "status") {
  FILE* file = popen("exit 44", "r");
  return Result(pclose(file));
}
TRANSPARENT(pclose, "the child was waited for by another") {
  FILE* file = popen("exit 44", "r");
  wait(nullptr);
  return Result(pclose(file));
}

TRANSPARENT(posix_spawn, "no such file") {
  pid_t pid = -1;
  char name[] = "x";
  char* const arguments[] = {name, nullptr};
  return Result(posix_spawn(&pid, "/no/such/file", nullptr, nullptr, arguments, environ));
}
TRANSPARENT(posix_spawn, "file actions") {
  const Pair pipe;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe.writer(), 1);
  posix_spawn_file_actions_addclose(&actions, 0);
  const char* arguments[] = {"sh", "-c", "echo out; test ! -e /proc/self/fd/0", nullptr};
  pid_t pid = -1;
  const int result =
      posix_spawn(&pid, "/bin/sh", &actions, nullptr, const_cast<char**>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  char text[10] = "";
  const ssize_t got = read(pipe.reader(), text, sizeof text);
  int status = 0;
  waitpid(pid, &status, 0);
  return Result(result, std::to_string(got) + text);
}
TRANSPARENT(posix_spawnp, "by PATH") {
  pid_t pid = -1;
  char name[] = "false";
  char* const arguments[] = {name, nullptr};
  const int result = posix_spawnp(&pid, "false", nullptr, nullptr, arguments, environ);
  int status = 0;
  waitpid(pid, &status, 0);
  return Result(result, std::to_string(status));
}

}  // namespace
}  // namespace cogi::hooks::transparency
