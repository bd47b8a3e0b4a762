#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hooks/process_spawn.h"
#include "hooks/program_state.h"
#include "tests/hooks/lock/coroutine_fixture.h"

extern char** environ;

namespace cogi::tests {
namespace {

pid_t Shell(const char* command) {
  const char* arguments[] = {"sh", "-c", command, nullptr};
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, "/bin/sh", nullptr, nullptr, const_cast<char**>(arguments), environ),
            0);
  return pid;
}

class Process : public InCoroutines {
 protected:
  // Runs `body` beside a coroutine that ticks; both end together. Returns the ticks.
  int TicksDuring(std::function<void()> body) {
    bool ended = false;
    int ticks = 0;
    Go([&] {
      body();
      ended = true;
    });
    Go([&] {
      for (; !ended; ++ticks) SleepFor(milliseconds(1));
    });
    Run();
    return ticks;
  }
  void TearDown() override {
    // No zombie is left.
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }
};
COGI_BOTH_STACK_MODES(Process);

TEST_P(Process, WaitpidDoesNotBlockTheLoop) {
  const int ticks = TicksDuring([] {
    const pid_t pid = Shell("sleep 0.1; exit 7");
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_EQ(waitpid(pid, &status, 0), -1);
    EXPECT_EQ(errno, ECHILD);
  });
  EXPECT_GE(ticks, 10);
}

TEST_P(Process, ManyChildrenAreWaitedForAtOnce) {
  int ended = 0;
  for (int i = 0; i < 100; ++i) {
    Go([&, i] {
      const pid_t pid = Shell(("sleep 0.05; exit " + std::to_string(i)).c_str());
      int status = 0;
      EXPECT_EQ(waitpid(pid, &status, 0), pid);
      EXPECT_EQ(WEXITSTATUS(status), i);
      ++ended;
    });
  }
  Run();
  EXPECT_EQ(ended, 100);
}

TEST_P(Process, WaitForAnyGetsEachChildOnce) {
  const int ticks = TicksDuring([] {
    std::set<pid_t> started, seen;
    for (const char* command : {"sleep 0.06", "sleep 0.03", "true"}) started.insert(Shell(command));
    for (int i = 0; i < 3; ++i) seen.insert(wait(nullptr));
    EXPECT_EQ(seen, started);
    EXPECT_EQ(wait(nullptr), -1);
    EXPECT_EQ(errno, ECHILD);
  });
  EXPECT_GE(ticks, 5);
}

TEST_P(Process, EachWaitTellsHowAChildEnded) {
  TicksDuring([] {
    int status = 0;
    rusage usage{};
    pid_t pid = Shell("kill -TERM $$");
    EXPECT_EQ(wait4(pid, &status, 0, &usage), pid);
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
    pid = Shell("exit 3");
    EXPECT_EQ(wait3(&status, 0, &usage), pid);
    EXPECT_EQ(WEXITSTATUS(status), 3);
    pid = Shell("sleep 0.02; exit 4");
    siginfo_t info{};
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(info.si_status, 4);
    EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED), 0);
    EXPECT_EQ(info.si_pid, pid);
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED), -1);
    EXPECT_EQ(errno, ECHILD);
  });
}

TEST_P(Process, StoppedAndContinuedChildrenAreSeen) {
  TicksDuring([] {
    const pid_t pid = Shell("sleep 5");
    int status = 0;
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT_TRUE(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
    EXPECT_TRUE(WIFCONTINUED(status));
    EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
    kill(pid, SIGKILL);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
  });
}

TEST_P(Process, CancelEndsTheWaitAndKillsTheShellOfSystem) {
  coroutine::Coroutine* first = nullptr;
  coroutine::Coroutine* second = nullptr;
  Go([&] {
    first = coroutine::Current();
    const pid_t pid = Shell("sleep 5");
    EXPECT_EQ(waitpid(pid, nullptr, 0), -1);
    EXPECT_EQ(errno, ECANCELED);
    coroutine::ClearCancel(*first);
    kill(pid, SIGKILL);
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  });
  Go([&] {
    second = coroutine::Current();
    EXPECT_EQ(system("exec sleep 5"), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  Go([&] {
    SleepFor(milliseconds(20));
    coroutine::Cancel(*first);
    coroutine::Cancel(*second);
  });
  Run();
}

TEST_P(Process, SystemParksAndTellsTheStatus) {
  const int ticks = TicksDuring([] {
    EXPECT_EQ(WEXITSTATUS(system("sleep 0.05; exit 5")), 5);
    EXPECT_EQ(WTERMSIG(system("kill -KILL $$")), SIGKILL);
    EXPECT_EQ(WEXITSTATUS(system("no-such-command-here 2>/dev/null")), 127);
    EXPECT_EQ(system(nullptr), 1);
  });
  EXPECT_GE(ticks, 5);
}

TEST_P(Process, PopenReadsAndWritesWithoutBlockingTheLoop) {
  const int ticks = TicksDuring([] {
    FILE* reader = popen("echo one; sleep 0.05; echo two; exit 9", "r");
    ASSERT_NE(reader, nullptr);
    EXPECT_GE(fileno(reader), 0);
    char line[100];
    EXPECT_STREQ(fgets(line, sizeof line, reader), "one\n");
    EXPECT_STREQ(fgets(line, sizeof line, reader), "two\n");
    EXPECT_EQ(fgets(line, sizeof line, reader), nullptr);
    EXPECT_EQ(WEXITSTATUS(pclose(reader)), 9);
    FILE* writer = popen("sleep 0.03; test $(wc -c) = 300000", "we");
    ASSERT_NE(writer, nullptr);
    const std::string data(300'000, 'x');  // more than a pipe holds
    EXPECT_EQ(fwrite(data.data(), 1, data.size(), writer), data.size());
    EXPECT_EQ(WEXITSTATUS(pclose(writer)), 0);
    for (const char* mode : {"", "x", "rw", "r+"}) {
      EXPECT_EQ(popen("true", mode), nullptr);
      EXPECT_EQ(errno, EINVAL);
    }
  });
  EXPECT_GE(ticks, 10);
}

TEST_P(Process, PopenedStreamIsClosedOutsideCoroutinesToo) {
  FILE* file = nullptr;
  Go([&] { file = popen("exit 2", "r"); });
  Run();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(WEXITSTATUS(pclose(file)), 2);
}

// What a child sees: blocking descriptors, hooks that are off, and time to live on its own.
TEST_P(Process, ForkedChildHasBlockingDescriptorsAndRealCalls) {
  TicksDuring([] {
    int to_child[2], from_child[2];
    ASSERT_EQ(pipe(to_child), 0);
    ASSERT_EQ(pipe(from_child), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      close(to_child[1]);
      int code = 0;
      if ((fcntl(to_child[0], F_GETFL) & O_NONBLOCK) != 0) code |= 1;
      for (int fd = 0; fd < 3; ++fd)
        if (fcntl(fd, F_GETFD) < 0) code |= 2;
      char byte = 0;
      if (read(to_child[0], &byte, 1) != 1 || byte != 'x') code |= 4;  // waits for the parent
      usleep(1000);
      if (write(from_child[1], "y", 1) != 1) code |= 8;
      _exit(code);
    }
    close(to_child[0]);
    SleepFor(milliseconds(20));
    EXPECT_EQ(write(to_child[1], "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(read(from_child[0], &byte, 1), 1);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    for (const int fd : {to_child[1], from_child[0], from_child[1]}) close(fd);
  });
}

TEST_P(Process, VforkedChildLeavesItsParentAlone) {
  TicksDuring([] {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    static volatile int touched;
    touched = 0;
    const pid_t pid = vfork();
    if (pid == 0) {
      touched = 1;  // a fork's own copy
      close(ends[0]);
      dup2(ends[1], 1);
      execlp("sh", "sh", "-c", "echo hello; exit 6", nullptr);
      _exit(99);
    }
    close(ends[1]);
    char text[16] = "";
    EXPECT_EQ(read(ends[0], text, sizeof text), 6);
    EXPECT_STREQ(text, "hello\n");
    EXPECT_EQ(touched, 0);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 6);
    close(ends[0]);
  });
  // Outside coroutines it is libc's.
  const pid_t pid = vfork();
  if (pid == 0) _exit(3);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

// A stand-in for a program: its standard files are virtual.
class Text : public hooks::VirtualFile {
 public:
  explicit Text(std::string input = "") : input_(std::move(input)) {}
  ssize_t Readv(const iovec* pieces, int count) override {
    coroutine::Yield();
    if (count == 0) return 0;
    const size_t size = std::min({pieces[0].iov_len, input_.size(), size_t{7}});
    memcpy(pieces[0].iov_base, input_.data(), size);
    input_.erase(0, size);
    return static_cast<ssize_t>(size);
  }
  ssize_t Writev(const iovec* pieces, int count) override {
    coroutine::Yield();
    ssize_t written = 0;
    for (int i = 0; i < count; ++i) {
      output.append(static_cast<char*>(pieces[i].iov_base), pieces[i].iov_len);
      written += static_cast<ssize_t>(pieces[i].iov_len);
    }
    return written;
  }
  std::string output;

 private:
  std::string input_;
};

class StandIn : public hooks::ProgramState {
 public:
  StandIn(Text& in, Text& out, Text& err) {
    files_[0] = {-1, &in};
    files_[1] = {-1, &out};
    files_[2] = {-1, &err};
    coroutine::SetProgramSlot(*coroutine::Current(), static_cast<hooks::ProgramState*>(this));
  }
  // The end of a program, as its runner has it.
  ~StandIn() {
    coroutine::SetProgramSlot(*coroutine::Current(), nullptr);
    for (hooks::Descriptor& file : files_)
      if (file.fd >= 0) close(file.fd);
    for (const int fd : own_) close(fd);
    hooks::FinishChildren(*this);
  }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

  hooks::Descriptor Resolve(int fd) noexcept override {
    if (fd >= 0 && fd < 3) return files_[fd];
    return {own_.count(fd) != 0 ? fd : -1, nullptr};
  }
  void Opened(int fd) noexcept override { own_.insert(fd); }
  void Closed(int fd) noexcept override { own_.erase(fd); }
  int Dup2(int fd, int target) noexcept override {
    const int copy = fcntl(Resolve(fd).fd, F_DUPFD_CLOEXEC, 3);
    own_.erase(copy);
    if (files_[target].fd >= 0) close(files_[target].fd);
    files_[target] = {copy, nullptr};
    return target;
  }
  int CloseStandard(int fd) noexcept override {
    files_[fd] = {-1, nullptr};
    return 0;
  }

 private:
  hooks::Descriptor files_[3];
  std::set<int> own_;
};

TEST_P(Process, ChildOfAProgramSharesItsStandardFiles) {
  Text in("first line\nsecond line\n"), out, err;
  TicksDuring([&] {
    StandIn program(in, out, err);
    EXPECT_EQ(write(1, "begin\n", 6), 6);
    EXPECT_EQ(WEXITSTATUS(system("read line; echo \"child read: $line\"; echo oops >&2; exit 4")),
              4);
    EXPECT_EQ(write(1, "end\n", 4), 4);
    // The shell reads a file byte by byte, so the rest is still there.
    char rest[100] = "";
    EXPECT_EQ(read(0, rest, sizeof rest), 12);
    EXPECT_STREQ(rest, "second line\n");
    const pid_t pid = fork();
    if (pid == 0) {
      if (write(1, "forked\n", 7) != 7) _exit(1);
      _exit(0);
    }
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  });
  EXPECT_EQ(out.output, "begin\nchild read: first line\nend\nforked\n");
  EXPECT_EQ(err.output, "oops\n");
}

TEST_P(Process, ChildOfAProgramHasNoDescriptorsOfOthers) {
  Text in, out, err;
  int leak = -1;
  TicksDuring([&] {
    leak = dup(STDERR_FILENO);  // somebody else's, and not closed on exec
    StandIn program(in, out, err);
    EXPECT_EQ(WEXITSTATUS(system(("test ! -e /proc/self/fd/" + std::to_string(leak)).c_str())), 0);
    const pid_t pid = fork();
    if (pid == 0) _exit(fcntl(leak, F_GETFD) >= 0);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  });
  close(leak);
}

TEST_P(Process, ProgramWaitsForItsOwnChildrenOnly) {
  Text files[6];
  pid_t first = -1;
  TicksDuring([&] {
    first = Shell("sleep 0.05");  // the server's
    StandIn program(files[0], files[1], files[2]);
    EXPECT_EQ(waitpid(first, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(wait(nullptr), -1);
    EXPECT_EQ(errno, ECHILD);
    const pid_t own = Shell("exit 8");
    int status = 0;
    EXPECT_EQ(wait(&status), own);
    EXPECT_EQ(WEXITSTATUS(status), 8);
    Shell("sleep 0.03");  // nobody waits for it: it is reaped when it ends
  });
  EXPECT_EQ(waitpid(first, nullptr, 0), first);
}

TEST_P(Process, ServerDoesNotSeeTheChildrenOfPrograms) {
  Text files[3];
  Go([&] {
    StandIn program(files[0], files[1], files[2]);
    const pid_t own = Shell("sleep 0.05; exit 8");
    int status = 0;
    EXPECT_EQ(waitpid(own, &status, 0), own);
    EXPECT_EQ(WEXITSTATUS(status), 8);
  });
  Go([&] {
    SleepFor(milliseconds(20));
    EXPECT_EQ(wait(nullptr), -1);
    EXPECT_EQ(errno, ECHILD);
    const pid_t own = Shell("exit 1");
    EXPECT_EQ(wait(nullptr), own);
  });
  Run();
}

}  // namespace
}  // namespace cogi::tests
