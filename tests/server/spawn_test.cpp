// How a process starts: what it finds, and what it has of the one that started it.
#include "server/exec/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>

#include "tests/server/scratch.h"

namespace cogi::server {
namespace {

// All further calls of clone3() fail as where a filter does not know them.
void RefuseClone3() {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {std::size(code), code};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

// With and without clone3(). Each test has a process of its own: signals and filters stay with it.
class Spawn : public testing::TestWithParam<bool> {
 protected:
  // The test's body, in a child.
  template <class Body>
  void Apart(Body body) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (!GetParam()) RefuseClone3();
      body();
      _exit(HasFailure() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  // What `script` writes to its standard output, started by a plan that `change` has changed.
  template <class Change>
  std::string Output(std::string script, Change change) {
    const int out = open((folder_ / "out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    std::string shell = "/bin/sh", option = "-c", variable = "WORD=given";
    char* arguments[] = {shell.data(), option.data(), script.data(), nullptr};
    char* environment[] = {variable.data(), nullptr};
    SpawnPlan plan;
    plan.path = shell.c_str();
    plan.directory = folder_.path().c_str();
    plan.arguments = arguments;
    plan.environment = environment;
    plan.standard[1] = out;
    change(plan);
    pid_t pid = -1;
    const int error = SpawnProcess(plan, &pid);
    close(out);
    if (error != 0) return strerror(error);
    EXPECT_EQ(waitpid(pid, &status_, 0), pid);
    return ReadFile(folder_ / "out");
  }
  std::string Output(std::string script) {
    return Output(std::move(script), [](SpawnPlan&) {});
  }

  Scratch folder_;
  int status_ = -1;
};

TEST_P(Spawn, GivesWhatThePlanSaysAndNothingElse) {
  Apart([this] {
    const int kept = open("/dev/null", O_RDONLY);  // without FD_CLOEXEC
    EXPECT_GE(kept, 3);
    EXPECT_EQ(Output("echo $WORD; pwd; cat; echo lost >&2;"
                     "for fd in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/self/fd/$fd && echo $fd; "
                     "done; exit 7"),
              "given\n" + folder_.path() + "\n0\n1\n2\n");
    EXPECT_EQ(WEXITSTATUS(status_), 7);
  });
}

TEST_P(Spawn, HasAllSignalsAsAtBoot) {
  Apart([this] {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, [](int) {});
    signal(SIGRTMIN + 3, [](int) {});
    sigset_t blocked;
    sigfillset(&blocked);
    sigprocmask(SIG_SETMASK, &blocked, nullptr);
    // Of sed itself: a shell has handlers of its own.
    EXPECT_EQ(Output("exec sed -n '/^Sig[BIC]/p' /proc/self/status"),
              "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n");
    EXPECT_NE(signal(SIGTERM, SIG_DFL), SIG_DFL) << "the child reset the handlers of its parent";
    EXPECT_EQ(signal(SIGPIPE, SIG_DFL), SIG_IGN);
  });
}

TEST_P(Spawn, LeadsAGroupOrASession) {
  Apart([this] {
    ReserveSpawnDescriptors();
    const auto leads = [this](bool session) {
      // The group and the session of a shell, fields 5 and 6 of its stat, beside its own number.
      return Output(
          "read pid name state parent group session rest < /proc/self/stat;"
          "test $group = $pid && echo group; test $session = $pid && echo session",
          [session](SpawnPlan& plan) { plan.session = session; });
    };
    EXPECT_EQ(leads(true), "group\nsession\n");
    const int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(leads(false), terminal >= 0 ? "group\nsession\n" : "group\n");
  });
}

TEST_P(Spawn, TellsWhatExecSaidAndLeavesNoProcess) {
  Apart([this] {
    const auto fail = [this](const char* path, const char* directory) {
      return Output("", [&](SpawnPlan& plan) {
        if (path != nullptr) plan.path = path;
        if (directory != nullptr) plan.directory = directory;
      });
    };
    EXPECT_EQ(fail("/nowhere/at/all", nullptr), strerror(ENOENT));
    EXPECT_EQ(fail("/etc", nullptr), strerror(EACCES));
    EXPECT_EQ(fail(folder_.Write("text", "no program").c_str(), nullptr), strerror(EACCES));
    EXPECT_EQ(fail(nullptr, "/nowhere"), strerror(ENOENT));
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  });
}

TEST_P(Spawn, EndsWithItsParentWhereThePlanSaysSo) {
  const std::string file = folder_ / "pid";
  Apart([this, &file] {
    std::string shell = "/bin/sleep", time = "60";
    char* arguments[] = {shell.data(), time.data(), nullptr};
    char* environment[] = {nullptr};
    SpawnPlan plan;
    plan.path = shell.c_str();
    plan.directory = "/";
    plan.arguments = arguments;
    plan.environment = environment;
    plan.death_signal = SIGKILL;
    pid_t pid = -1;
    ASSERT_EQ(SpawnProcess(plan, &pid), 0);
    ASSERT_EQ(kill(pid, 0), 0);
    folder_.Write("pid", std::to_string(pid));
  });
  const pid_t orphan = std::stoi(ReadFile(file));
  // Dead, but whoever has taken it over may not have looked at it yet.
  const auto runs = [orphan] {
    const std::string stat = ReadFile("/proc/" + std::to_string(orphan) + "/stat");
    return !stat.empty() && stat.find(") Z ") == std::string::npos;
  };
  for (int i = 0; i < 1000 && runs(); ++i) usleep(10'000);
  EXPECT_FALSE(runs());
}

std::string NameOf(const testing::TestParamInfo<bool>& with_clone3) {
  return with_clone3.param ? "WithClone3" : "WithoutClone3";
}
INSTANTIATE_TEST_SUITE_P(, Spawn, testing::Bool(), NameOf);

}  // namespace
}  // namespace cogi::server
