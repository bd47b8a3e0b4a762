// `cogi cc`, and the files that it makes.
#include <sys/stat.h>
#include <utime.h>

#include "tests/server/program/exchange.h"

namespace cogi::server {
namespace {

using ProgramCompile = ProgramTest;

TEST_F(ProgramCompile, MakesModulesThatAreKnownByTheirNote) {
  const std::string module = Make("note.c", CProgram(""));
  EXPECT_TRUE(IsProgramModule(module));
  EXPECT_FALSE(IsProgramModule("/proc/self/exe"));
  EXPECT_FALSE(IsProgramModule("/bin/sh"));
  EXPECT_FALSE(IsProgramModule(folder_.path()));
  EXPECT_FALSE(IsProgramModule(folder_ / "no such file"));
  EXPECT_FALSE(IsProgramModule(folder_.Write("cut", ReadFile(module).substr(0, 100))));
}

TEST_F(ProgramCompile, TakesSeveralSourcesOfBothLanguagesAndFlags) {
  const std::string c = folder_.Write("part.c", "int Twice(int n) { return FACTOR * n; }\n");
  const std::string module = Make("main.cpp", R"(
      #include <cmath>
      #include <iostream>
      extern "C" int Twice(int);
      int main() { std::cout << "Content-Type: text/plain\n\n" << Twice(21) << std::cbrt(27.0); })",
                                  {c, "-DFACTOR=2", "-lm"});
  EXPECT_EQ(Ask(Load(module)).response.sent, "423");
}

TEST_F(ProgramCompile, GivesTheCompilersErrors) {
  testing::internal::CaptureStderr();
  const int status = RunCompile({folder_.Write("bad.c", "int main(void) { return undeclared; }\n"),
                                 "-o", folder_ / "bad.cgi"});
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_EQ(status, 1);
  EXPECT_NE(errors.find("undeclared"), std::string::npos) << errors;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "bad.cgi"));
}

TEST_F(ProgramCompile, RefusesAProgramWithoutMainOrWithMissingFunctions) {
  testing::internal::CaptureStderr();
  EXPECT_NE(RunCompile({folder_.Write("none.c", "int x;\n"), "-o", folder_ / "none.cgi"}), 0);
  EXPECT_NE(RunCompile({folder_.Write("missing.c", "void gone(void); int main(void) { gone(); }\n"),
                        "-o", folder_ / "missing.cgi"}),
            0);
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_NE(errors.find("main"), std::string::npos) << errors;
  EXPECT_NE(errors.find("gone"), std::string::npos) << errors;
}

TEST_F(ProgramCompile, LeavesNothingBesideTheModule) {
  Make("tidy.c", CProgram(""));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    ++files;
  EXPECT_EQ(files, 2u);
}

TEST_F(ProgramCompile, AChangedFileIsPickedUpWhileTheOldOneStillRuns) {
  cgi::Handler* handler = Load(Make("version.c", CProgram("usleep(1500000); printf(\"old\");")));
  Exchange& old = Start(handler);
  Exchange* changed = nullptr;
  scheduler_.Spawn(
      [&] {
        coroutine::SleepFor(std::chrono::milliseconds(100));
        Make("version.c", CProgram("printf(\"new\");"));
        coroutine::SleepFor(std::chrono::milliseconds(1100));
        changed = &Start(handler);
      },
      {.stack_mode = coroutine::StackMode::kPrivate, .stack_size = 1 << 20, .hooks = false});
  Finish();
  EXPECT_EQ(old.response.sent, "old");
  ASSERT_NE(changed, nullptr);
  EXPECT_EQ(changed->response.sent, "new");
}

// Loading may yield: a handler made in the meantime must not take the place of one that is in use.
TEST_F(ProgramCompile, AProgramThatManyAskForAtOnceIsLoadedOnce) {
  const std::string good = Make("page.c", CProgram("puts(\"here\");"));
  const std::string bad = folder_.Write("bad.cgi", "no module");
  ProgramLibrary library{ProgramOptions{}};
  std::vector<cgi::Handler*> found;
  size_t refused = 0;
  constexpr int kAskers = 20;
  const int budget = coroutine::SchedulerOptions{}.call_budget;
  for (int i = 0; i < kAskers; ++i) {
    scheduler_.Spawn([&] {
      // The budget of hooked calls is used up: the next one, which reads the file, yields.
      for (int call = 0; call < budget; ++call) coroutine::ChargeCall();
      std::string error;
      found.push_back(library.Find(good, &error));
      if (library.Find(bad, &error) == nullptr && error.find(bad) != error.npos) ++refused;
    });
  }
  Finish();
  ASSERT_EQ(found.size(), static_cast<size_t>(kAskers));
  EXPECT_NE(found[0], nullptr);
  EXPECT_EQ(std::count(found.begin(), found.end(), found[0]), kAskers);
  EXPECT_EQ(refused, static_cast<size_t>(kAskers));
}

TEST_F(ProgramCompile, AFileThatDoesNotLoadIsNamedWithItsCause) {
  std::string error;
  const std::string module = Make("good.c", CProgram(""));
  const std::string cut = folder_.Write("cut.cgi", ReadFile(module).substr(0, 5000));
  EXPECT_EQ(MakeProgramHandler(cut, {}, &error), nullptr);
  EXPECT_NE(error.find(cut), std::string::npos) << error;
  EXPECT_EQ(MakeProgramHandler(folder_ / "none.cgi", {}, &error), nullptr);
  EXPECT_NE(error.find("No such file"), std::string::npos) << error;
}

}  // namespace
}  // namespace cogi::server
