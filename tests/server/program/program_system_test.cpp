// What a program asks the system for beyond its own memory: children, exec, signals that it waits
// for, locales. Each as in a process of its own, and nothing of it for the server.
#include <sys/stat.h>

#include <clocale>
#include <csignal>
#include <locale>
#include <sstream>

#include "tests/server/program/exchange.h"

namespace cogi::server {
namespace {

using ProgramSystem = ProgramTest;

std::string Bare(const std::string& main, const std::string& before = "") {
  return "#define _GNU_SOURCE\n#include <errno.h>\n#include <signal.h>\n#include <spawn.h>\n"
         "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/stat.h>\n"
         "#include <sys/wait.h>\n#include <time.h>\n#include <unistd.h>\nextern char** environ;\n" +
         before +
         "\nint main(void) {\n  printf(\"Content-Type: text/plain\\n\\n\");\n  fflush(stdout);\n" +
         main + "\n  return 0;\n}\n";
}

// By system(), popen(), posix_spawn() and fork().
TEST_F(ProgramSystem, GivesItsDirectoryAndUmaskToItsChildren) {
  std::filesystem::create_directory(folder_ / "below");
  cgi::Handler* handler = Load(Make("children.c", Bare(R"(
      char line[4096];
      system("pwd; umask");
      if (chdir("below") != 0) return 1;
      umask(027);
      system("pwd; umask");
      FILE* out = popen("pwd; umask", "r");
      while (fgets(line, sizeof line, out) != NULL) fputs(line, stdout);
      pclose(out);
      fflush(stdout);
      char* words[] = {"sh", "-c", "pwd; umask", NULL};
      pid_t child;
      if (posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ) == 0) waitpid(child, NULL, 0);
      child = fork();
      if (child == 0) execv("/bin/sh", words);
      waitpid(child, NULL, 0);
      child = fork();
      if (child == 0) {
        puts(getcwd(line, sizeof line));
        fflush(stdout);
        if (chdir("..") == 0) system("pwd");
        exit(5);
      }
      int status;
      waitpid(child, &status, 0);
      printf("%d", WEXITSTATUS(status));)")));
  const std::string below = folder_ / "below";
  const std::string changed = below + "\n0027\n";
  const mode_t mask = umask(022);
  EXPECT_EQ(Ask(handler).response.sent, folder_.path() + "\n0022\n" + changed + changed + changed +
                                            changed + below + "\n" + folder_.path() + "\n5");
  EXPECT_EQ(umask(mask), 022u);
}

// What a child sends to its group, as a shell's `kill 0`, reaches no one else's. Here it would end
// the test.
TEST_F(ProgramSystem, KeepsItsChildrenOutOfTheServersProcessGroup) {
  cgi::Handler* handler = Load(Make("group.c", Bare(R"(
      int status = system("kill -KILL 0");
      printf("%d ", WTERMSIG(status));
      FILE* out = popen("kill -KILL 0", "r");
      status = pclose(out);
      printf("%d ", WTERMSIG(status));
      pid_t child = fork();
      if (child == 0) {
        execlp("sh", "sh", "-c", "kill -KILL 0", (char*)NULL);
        _exit(1);
      }
      waitpid(child, &status, 0);
      printf("%d ", WTERMSIG(status));
      posix_spawnattr_t attributes;
      posix_spawnattr_init(&attributes);
      posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
      char* words[] = {"sh", "-c", "kill -KILL 0", NULL};
      posix_spawn(&child, "/bin/sh", NULL, &attributes, words, environ);
      waitpid(child, &status, 0);
      printf("%d", WTERMSIG(status));)")));
  EXPECT_EQ(Ask(handler).response.sent, "9 9 9 9");
}

TEST_F(ProgramSystem, MayBecomeAnotherProgramByExec) {
  const std::string script = folder_.Write("script", "#!/bin/sh\necho script $1 $MINE; cat\n");
  chmod(script.c_str(), 0755);
  cgi::Handler* handler = Load(Make("exec.c", Bare(R"(
      const char* how = getenv("QUERY_STRING");
      char* words[] = {"sh", "-c", "echo $0 $MINE; cat", "listed", NULL};
      char* other[] = {"MINE=given", "PATH=/bin:/usr/bin", NULL};
      setenv("MINE", "own", 1);
      atexit(Never);
      fputs("never written", stdout);
      if (strcmp(how, "execl") == 0) execl("/bin/sh", "sh", "-c", "echo $0 $MINE; cat", "listed", (char*)NULL);
      if (strcmp(how, "execlp") == 0) execlp("sh", "sh", "-c", "echo $0 $MINE; cat", "listed", (char*)NULL);
      if (strcmp(how, "execle") == 0) execle("/bin/sh", "sh", "-c", "echo $0 $MINE; cat", "listed", (char*)NULL, other);
      if (strcmp(how, "execv") == 0) execv("/bin/sh", words);
      if (strcmp(how, "execve") == 0) execve("/bin/sh", words, other);
      if (strcmp(how, "execvp") == 0) execvp("sh", words);
      if (strcmp(how, "execvpe") == 0) execvpe("sh", words, other);
      if (strcmp(how, "script") == 0) execl("./script", "script", "one", (char*)NULL);
      if (strcmp(how, "exit") == 0) execl("/bin/sh", "sh", "-c", "exit 3", (char*)NULL);
      if (strcmp(how, "killed") == 0) execl("/bin/sh", "sh", "-c", "kill -9 $$", (char*)NULL);
      __fpurge(stdout);
      int result = execl("/nowhere", "nowhere", (char*)NULL);
      printf("%d %d", result, errno == ENOENT);
      fflush(stdout);
      _exit(0);)",
                                                   R"(
      #include <stdio_ext.h>
      static void Never(void) { puts("never run"); })")));
  for (const char* how : {"execl", "execlp", "execv", "execvp"})
    EXPECT_EQ(Ask(handler, how, "the body").response.sent, "listed own\nthe body") << how;
  for (const char* how : {"execle", "execve", "execvpe"})
    EXPECT_EQ(Ask(handler, how, "the body").response.sent, "listed given\nthe body") << how;
  EXPECT_EQ(Ask(handler, "script", "the body").response.sent, "script one own\nthe body");
  EXPECT_EQ(Ask(handler, "fails").response.sent, "-1 1");
  Ask(handler, "exit");
  EXPECT_NE(exchanges_.back()->log.back().find("exit status 3"), std::string::npos);
  Ask(handler, "killed");
  EXPECT_NE(exchanges_.back()->log.back().find("signal 9"), std::string::npos);
  for (int i = 0; i < 20; ++i) Start(handler, "execl", std::to_string(i));
  Finish();
  for (size_t i = 0; i < 20; ++i)
    EXPECT_EQ(exchanges_[exchanges_.size() - 20 + i]->response.sent,
              "listed own\n" + std::to_string(i));
}

TEST_F(ProgramSystem, WaitsForItsOwnSignals) {
  cgi::Handler* handler = Load(Make("sigwait.c", Bare(R"(
      sigset_t set;
      siginfo_t info;
      int number = 0;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR1);
      sigaddset(&set, SIGALRM);
      sigprocmask(SIG_BLOCK, &set, NULL);
      raise(SIGUSR1);
      printf("%d ", sigwait(&set, &number) == 0 && number == SIGUSR1);
      struct timespec none = {0, 0}, moment = {0, 2000000}, wrong = {0, -1};
      printf("%d ", sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN);
      printf("%d ", sigtimedwait(&set, &info, &moment) == -1 && errno == EAGAIN);
      printf("%d ", sigtimedwait(&set, &info, &wrong) == -1 && errno == EINVAL);
      ualarm(3000, 0);
      printf("%d ", sigwaitinfo(&set, &info) == SIGALRM && info.si_signo == SIGALRM);
      sigdelset(&set, SIGALRM);
      signal(SIGALRM, Handler);
      sigprocmask(SIG_SETMASK, &set, NULL);
      ualarm(3000, 0);
      printf("%d ", sigwaitinfo(&set, &info) == -1 && errno == EINTR);
      printf("%d", handled);)",
                                                      R"(
      static int handled;
      static void Handler(int number) { handled = number == SIGALRM; })")));
  for (int i = 0; i < 10; ++i) Start(handler);
  Finish();
  for (const auto& exchange : exchanges_) EXPECT_EQ(exchange->response.sent, "1 1 1 1 1 1 1");
}

TEST_F(ProgramSystem, HasACxxLocaleOfItsOwn) {
  cgi::Handler* handler = Load(Make("locale.cpp", R"(
      #include <clocale>
      #include <cstdlib>
      #include <iostream>
      #include <locale>
      #include <sstream>
      #include <string>
      #include <unistd.h>
      struct Commas : std::numpunct<char> {
        explicit Commas(char point) : point_(point) {}
        char do_thousands_sep() const override { return point_; }
        std::string do_grouping() const override { return "\3"; }
        char point_;
      };
      int main() {
        const std::string query = std::getenv("QUERY_STRING");
        std::cout << "Content-Type: text/plain\n\n" << std::locale().name() << ' ';
        if (query == "named") std::locale::global(std::locale("C.UTF-8"));
        else if (query != "none") std::locale::global(std::locale(std::locale(), new Commas(query[0])));
        for (int i = 0; i < 3; ++i) {
          usleep(1000);
          std::ostringstream number;
          number << 1234567;
          std::cout << number.str() << ' ';
        }
        std::cout << std::setlocale(LC_ALL, nullptr);
      })"));
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (int round = 0; round < 3; ++round) {
    for (const char* query : {".", "'", "none", "named", "_", "."}) Start(handler, query);
    Finish();
  }
  for (size_t i = 0; i < exchanges_.size(); i += 6) {
    const auto sent = [&](size_t which) { return exchanges_[i + which]->response.sent; };
    EXPECT_EQ(sent(0), "C 1.234.567 1.234.567 1.234.567 C");
    EXPECT_EQ(sent(1), "C 1'234'567 1'234'567 1'234'567 C");
    EXPECT_EQ(sent(2), "C 1234567 1234567 1234567 C");
    EXPECT_EQ(sent(3), "C 1234567 1234567 1234567 C.UTF-8");
    EXPECT_EQ(sent(4), "C 1_234_567 1_234_567 1_234_567 C");
    EXPECT_EQ(sent(5), sent(0));
  }
  EXPECT_EQ(std::locale(), std::locale::classic());
  EXPECT_EQ(std::setlocale(LC_ALL, nullptr), before);
}

}  // namespace
}  // namespace cogi::server
