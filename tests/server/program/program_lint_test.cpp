// `cogi lint`: each kind of thing that a module cannot keep to one request is named with its mend,
// what is the request's own is not, and the trial request is measured.
#include <thread>

#include "coroutine/sanitizers.h"
#include "hooks/program_heap.h"
#include "server/program/elf_symbols.h"
#include "server/program/lint.h"
#include "server/program/lint_rules.h"
#include "server/program/lint_trial.h"
#include "tests/server/program/exchange.h"

namespace cogi::server {
namespace {

using Strings = std::vector<std::string>;

class ProgramLint : public ProgramTest {
 protected:
  LintReport Lint(const std::string& path) {
    LintReport report;
    std::string error;
    EXPECT_TRUE(LintModule(path, &report, &error)) << error;
    return report;
  }
  // What was found, as "kind symbol", sorted by the order of the file.
  static std::vector<std::string> Names(const LintReport& report) {
    std::vector<std::string> names;
    for (const LintFinding& finding : report.findings) {
      EXPECT_FALSE(finding.what.empty());
      EXPECT_FALSE(finding.mend.empty());
      names.push_back(finding.kind + " " + finding.symbol);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // The same of a C program.
  std::vector<std::string> Found(const std::string& statements, const std::string& before = "",
                                 const std::vector<std::string>& flags = {}) {
    return Names(Lint(Make("lint.c", CProgram(statements, before), flags)));
  }
};

TEST_F(ProgramLint, FindsNothingInAProgramWhoseCallsAreItsOwn) {
  EXPECT_EQ(Found(R"(
      char line[64]; alarm(0); usleep(1); setenv("A", "b", 1); chdir("/"); signal(SIGUSR1, SIG_IGN);
      if (fork() == 0) { execl("/bin/true", "true", (char*)0); _exit(1); }
      FILE* file = fopen("/dev/null", "r"); if (fgets(line, sizeof line, file) != NULL) exit(3);)"),
            Strings());
}

TEST_F(ProgramLint, NamesThreads) {
  EXPECT_EQ(Found("pthread_t t; pthread_create(&t, 0, Work, 0); pthread_join(t, 0);",
                  "#include <pthread.h>\nstatic void* Work(void* p) { return p; }"),
            Strings{"thread pthread_create"});
  const LintReport report = Lint(Make("thread.cpp", R"(
      #include <thread>
      int main() { std::thread([] {}).join(); })"));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].kind, "thread");
}

TEST_F(ProgramLint, NamesCallsThatBlockTheWorker) {
  EXPECT_EQ(Found("int n; sync(); msgrcv(0, &n, 0, 0, 0);", "#include <sys/msg.h>"),
            (Strings{"blocks msgrcv", "blocks sync"}));
}

TEST_F(ProgramLint, NamesStateThatLibcSharesAndCallsThatChangeTheWorker) {
  EXPECT_EQ(Found(R"(char t[] = "a b"; time_t now = time(0); printf("%s%d%d", strtok(t, " "),
                     localtime(&now)->tm_year, rand()); if (setuid(getuid()) != 0) return 1;)",
                  "#include <time.h>"),
            (Strings{"shared localtime", "shared rand", "shared strtok", "worker setuid"}));
}

TEST_F(ProgramLint, NamesExecWithoutFork) {
  const char* source =
      "char* words[] = {\"true\", 0}; fexecve(open(\"/bin/true\", O_RDONLY), words, 0);";
  EXPECT_EQ(Found(source), Strings{"exec fexecve"});
  EXPECT_EQ(Found("execl(\"/bin/true\", \"true\", (char*)0);"), Strings());
}

TEST_F(ProgramLint, NamesLibrariesWithDataOfTheirOwnAndWhatIsInIt) {
  const std::string library = folder_ / "libkeeper.so";
  const std::string source =
      folder_.Write("keeper.c", "char kept_by_all[5000]; void Keep(int c) { kept_by_all[c]++; }\n");
  ASSERT_EQ(std::system((std::string(COGI_CC) + " -shared -fPIC -Wl,-soname," + library + " -o " +
                         library + " " + source)
                            .c_str()),
            0);
  const LintReport report =
      Lint(Make("user.c", CProgram("Keep(1);", "void Keep(int);"), {library}));
  ASSERT_EQ(Names(report), Strings{"library libkeeper.so"});
  EXPECT_NE(report.findings[0].what.find("kept_by_all"), std::string::npos)
      << report.findings[0].what;
}

TEST_F(ProgramLint, TellsAStaticLibfcgiFromASharedOne) {
  // The static library is known by its functions.
  const std::string loop = CProgram("while (FCGI_Accept() >= 0) printf(\"x\");");
  EXPECT_EQ(Names(Lint(Make("static.c",
                            loop + "int FCGX_Accept_r(void) { return -1; }\n"
                                   "int FCGI_Accept(void) { return -1; }\n",
                            {"-Wno-implicit-function-declaration"}))),
            Strings{"libfcgi FCGX_Accept_r"});
  const LintReport shared =
      Lint(Make("shared.c", loop, {"-lfcgi", "-Wno-implicit-function-declaration"}));
  EXPECT_TRUE(shared.accepts_fcgi);
  for (const LintFinding& finding : shared.findings) EXPECT_NE(finding.kind, "libfcgi");
}

TEST_F(ProgramLint, NamesWhatAllModulesWouldShareAndPathsThatLeadNowhere) {
  const std::string object = folder_ / "unique.o";
  const std::string source =
      folder_.Write("unique.cpp",
                    "template <class T> struct S { static inline int value = 1; };\n"
                    "int Value() { return S<int>::value++; }\n");
  ASSERT_EQ(std::system((std::string(COGI_CXX) + " -std=c++17 -fPIC -fgnu-unique -c -o " + object +
                         " " + source)
                            .c_str()),
            0);
  const Strings found = Names(Lint(Make("main.cpp", "int Value(); int main() { return Value(); }",
                                        {object, "-Wl,-rpath,$ORIGIN/lib"})));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], "path $ORIGIN/lib");
  EXPECT_TRUE(found[1].starts_with("unique _ZN1S")) << found[1];
}

TEST_F(ProgramLint, MeasuresStackAndHeapOfATrialRequest) {
  TrialRequest request;
  request.query = "n=7";
  request.body = "hello";
  request.environment = {{"OWN", "mine"}};
  const std::string path = Make("trial.c", CProgram(R"(
      volatile char area[200000]; char body[16] = ""; memset((char*)area, 1, sizeof area);
      char* kept = malloc(1000000); memset(kept, 1, 1000000);
      if (fread(body, 1, 5, stdin) != 5) return 9;
      fprintf(stderr, "%s %s %s", getenv("QUERY_STRING"), getenv("OWN"), body);
      return area[100] == 1 ? 4 : 5;)"));
  Trial trial;
  std::string error;
  // Where there is no scheduler yet.
  std::thread([&] { ASSERT_TRUE(RunTrial(path, request, &trial, &error)) << error; }).join();
  EXPECT_EQ(trial.result.end, hooks::ProgramEnd::kExited);
  EXPECT_EQ(trial.result.status, 4);
  EXPECT_EQ(trial.errors, Strings{"n=7 mine hello"});
  EXPECT_EQ(trial.output, 26u);
  EXPECT_EQ(trial.header_error, "");
  if (!hooks::HeapTracking()) return;  // under the sanitizers neither is measured
  EXPECT_GE(trial.stack, 200000u);
  EXPECT_LE(trial.stack, 240000u);
  EXPECT_GE(trial.result.peak_heap, 1000000u);
  EXPECT_EQ(trial.result.leaked_blocks, 1u);
}

TEST_F(ProgramLint, EndsATrialThatDoesNotEnd) {
  TrialRequest request;
  request.limit = std::chrono::milliseconds(100);
  const std::string path = Make("waits.c", CProgram("for (;;) sleep(1);"));
  Trial trial;
  std::string error;
  std::thread([&] { ASSERT_TRUE(RunTrial(path, request, &trial, &error)) << error; }).join();
  EXPECT_EQ(trial.result.end, hooks::ProgramEnd::kCancelled);
}

// In its own code, and in libc's for it.
TEST_F(ProgramLint, EndsATrialThatComputesForEver) {
  if (COGI_SANITIZED) GTEST_SKIP() << "nothing can be left in the middle under the sanitizers";
  TrialRequest request;
  request.limit = std::chrono::milliseconds(100);
  for (const char* loop :
       {"for (volatile int i = 0;; i++) continue;",
        "static char text[9999]; for (;;) { memset(text, 'x', 9998); if (strlen(text) == 1) break; "
        "}",
        "char text[99]; for (;;) snprintf(text, sizeof text, \"%d\", rand());"}) {
    const std::string path = Make("computes.c", CProgram(loop));
    Trial trial;
    std::string error;
    std::thread([&] { ASSERT_TRUE(RunTrial(path, request, &trial, &error)) << error; }).join();
    EXPECT_EQ(trial.result.end, hooks::ProgramEnd::kStuck) << loop;
  }
}

TEST_F(ProgramLint, TakesATimeLimitAndSaysSoWhenItIsOver) {
  if (COGI_SANITIZED) GTEST_SKIP() << "nothing can be left in the middle under the sanitizers";
  const std::string path = Make("loops.c", CProgram("for (volatile int i = 0;; i++) continue;"));
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  std::thread([&] {
    EXPECT_EQ(RunLint({path, "--time", "1"}), 0);
    EXPECT_EQ(RunLint({path, "--time", "0"}), 2);
    EXPECT_EQ(RunLint({path, "--time", "soon"}), 2);
  }).join();
  const std::string out = testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("trial request: not finished within 1 s, and ended while it computed"),
            std::string::npos)
      << out;
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_NE(errors.find("--time takes 1 to 3600 seconds"), std::string::npos) << errors;
}

TEST_F(ProgramLint, SaysByItsExitCodeWhetherSomethingWasFound) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  std::string out;
  std::thread([&] {
    EXPECT_EQ(RunLint({Make("clean.c", CProgram(""))}), 0);
    EXPECT_EQ(RunLint({Make("rand.c", CProgram("return rand();")), "--no-trial"}), 1);
    EXPECT_EQ(RunLint({"/bin/sh"}), 2);
    EXPECT_EQ(RunLint({}), 2);
    EXPECT_EQ(RunLint({"--no-such-flag"}), 2);
  }).join();
  out = testing::internal::GetCapturedStdout();
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_NE(out.find("trial request: exit status 0"), std::string::npos) << out;
  EXPECT_NE(out.find("rand.c.cgi: shared: rand: draws from"), std::string::npos) << out;
  EXPECT_NE(errors.find("cogi cc"), std::string::npos) << errors;
}

TEST_F(ProgramLint, DamagedFilesHaveNoSymbols) {
  const std::string whole = ReadFile(Make("whole.c", CProgram("return rand();")));
  ASSERT_TRUE(ElfSymbols::Read(whole).has_value());
  for (size_t size = 0; size < whole.size(); size += 97) {
    const auto file = ElfSymbols::Read(std::string_view(whole).substr(0, size));
    EXPECT_LE(file.has_value() ? file->symbols.size() : 0, 1000u);
  }
  std::string damaged = whole;
  for (size_t at = 0; at < 64 && at < damaged.size(); ++at) {
    damaged[at] = static_cast<char>(~damaged[at]);
    static_cast<void>(ElfSymbols::Read(damaged));
    damaged[at] = whole[at];
  }
}

TEST_F(ProgramLint, EveryRuleSaysWhatHappensAndTheMend) {
  size_t names = 0;
  for (const LintRule& rule : LintRules()) {
    EXPECT_FALSE(rule.what.empty());
    EXPECT_FALSE(rule.mend.empty());
    for (size_t at = 0; at < rule.symbols.size(); ++names)
      at = std::min(rule.symbols.find(' ', at), rule.symbols.size() - 1) + 1;
  }
  EXPECT_GT(names, 150u);
  EXPECT_NE(FindRule("pthread_create"), nullptr);
  EXPECT_EQ(FindRule("usleep"), nullptr);
  EXPECT_EQ(FindRule(""), nullptr);
}

}  // namespace
}  // namespace cogi::server
