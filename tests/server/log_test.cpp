#include "server/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "coroutine/scheduler.h"
#include "server/log_file.h"
#include "tests/server/scratch.h"
#include "tests/server/slow_files.h"

namespace cogi::server {
namespace {

config::Log LogsIn(const Scratch& folder) {
  config::Log settings;
  settings.access = folder / "access.log";
  settings.error = folder / "error.log";
  return settings;
}

size_t LinesOf(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Log, OneEventIsOneLineWhateverItSays) {
  const Scratch folder;
  ASSERT_EQ(OpenLogs(LogsIn(folder), "test"), "");
  LogError("first\nsecond\r\x1b[31m %s ", 5);
  const std::string text = ReadFile(folder / "error.log");
  EXPECT_EQ(LinesOf(text), 1u);
  EXPECT_NE(text.find("first | second\\x0d\\x1b[31m %s 5"), std::string::npos) << text;
}

TEST(Log, AnAccessLineIsTheCombinedFormatWithTimesAndId) {
  const Scratch folder;
  ASSERT_EQ(OpenLogs(LogsIn(folder), "test"), "");
  AccessEntry entry;
  entry.remote = "192.0.2.1";
  entry.method = "GET";
  entry.target = "/a\"\n";
  entry.protocol = "HTTP/1.1";
  entry.user_agent = "curl";
  entry.id = "x-1-2";
  entry.status = 200;
  entry.body_bytes = 6;
  entry.total = std::chrono::microseconds(1234);
  entry.on_cpu = std::chrono::nanoseconds(-1);
  LogAccess(entry);
  entry.on_cpu = std::chrono::microseconds(234);
  entry.upstream = "unix:/run/app.sock";
  LogAccess(entry);
  EXPECT_EQ(ReadFile(folder / "access.log"), "");
  FlushLogs();
  const std::string text = ReadFile(folder / "access.log");
  EXPECT_EQ(LinesOf(text), 2u);
  EXPECT_TRUE(text.starts_with("192.0.2.1 - - [")) << text;
  EXPECT_NE(text.find("] \"GET /a\\x22\\x0a HTTP/1.1\" 200 6 \"-\" \"curl\" 1.234 - - - x-1-2\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(" 1.234 0.234 1.000 unix:/run/app.sock x-1-2\n"), std::string::npos) << text;
}

TEST(Log, IsWrittenToTheNewFileAfterRotation) {
  const Scratch folder;
  ASSERT_EQ(OpenLogs(LogsIn(folder), "test"), "");
  LogInfo("before");
  std::filesystem::rename(folder / "error.log", folder / "error.log.1");
  LogInfo("between");
  ReopenLogs();
  LogInfo("after");
  EXPECT_EQ(LinesOf(ReadFile(folder / "error.log.1")), 2u);
  EXPECT_EQ(LinesOf(ReadFile(folder / "error.log")), 1u);
}

TEST(Log, LosesNothingWhileItIsOpenedAgain) {
  const Scratch folder;
  ASSERT_EQ(OpenLogs(LogsIn(folder), "test"), "");
  const SlowFiles slow(5000);
  coroutine::Scheduler scheduler;
  bool reopened = false;
  size_t lines = 0, meanwhile = 0;
  scheduler.Spawn([&] {
    for (; !reopened; ++lines, ++meanwhile) {
      LogInfo("a line");
      coroutine::SleepFor(std::chrono::milliseconds(1));
    }
  });
  scheduler.Spawn([&] {
    std::filesystem::rename(folder / "error.log", folder / "error.log.1");
    meanwhile = 0;
    ReopenLogs();
    reopened = true;
  });
  scheduler.Run();
  EXPECT_GT(meanwhile, 0u);
  EXPECT_EQ(LinesOf(ReadFile(folder / "error.log.1")) + LinesOf(ReadFile(folder / "error.log")),
            lines);
}

TEST(Log, AFloodOfOneKindIsLimitedAndCounted) {
  const Scratch folder;
  ASSERT_EQ(OpenLogs(LogsIn(folder), "test"), "");
  LogLimiter limiter;
  for (int time = 0; time < 1000; ++time) limiter.Log(Level::kError, "again");
  EXPECT_EQ(LinesOf(ReadFile(folder / "error.log")), 5u);
}

TEST(LogFile, AFullDiskLosesLinesAndNothingElse) {
  LogFile log;
  ASSERT_EQ(log.Open("/dev/full"), "");
  for (int line = 0; line < 10; ++line) log.Append("lost");
  testing::internal::CaptureStderr();
  log.Flush();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("; 10 lines lost"), std::string::npos);
  EXPECT_EQ(log.dropped(), 10u);
}

TEST(LogFile, AReaderThatDoesNotReadBlocksNobody) {
  const Scratch folder;
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const int reader = open((folder / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  LogFile log;
  ASSERT_EQ(log.Open(folder / "fifo"), "");
  const std::string line(1000, 'x');
  for (int count = 0; count < 1000; ++count) log.Append(line);
  log.Flush();
  EXPECT_GT(log.dropped(), 0u);
  EXPECT_LT(log.dropped(), 1000u);
  close(reader);
}

TEST(LogFile, ASymbolicLinkIsRefused) {
  const Scratch folder;
  std::filesystem::create_symlink("/etc/hostname", folder / "link");
  LogFile log;
  EXPECT_NE(log.Open(folder / "link").find("symbolic link"), std::string::npos);
}

}  // namespace
}  // namespace cogi::server
