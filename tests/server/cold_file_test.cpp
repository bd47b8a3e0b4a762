// Files that are not in memory are sent without stalling the worker: by its helper threads, unless
// the configuration says that there are to be none.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

constexpr size_t kSize = 4 << 20;

std::string Content() {
  std::string content;
  for (size_t i = 0; i < kSize; ++i) content += static_cast<char>('a' + i * 7 % 26 + i / 4096 % 3);
  return content;
}

// Takes a file out of the page cache. False if the file system cannot tell what is there (tmpfs).
bool Chill(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  char byte;
  const iovec one{&byte, 1};
  const bool cold = preadv2(fd, &one, 1, kSize / 2, RWF_NOWAIT) < 0 && errno == EAGAIN;
  close(fd);
  return cold;
}

int HelpersOf(pid_t pid) {
  int helpers = 0;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored))
    helpers += ReadFile(entry.path().string() + "/comm") == "cogi-helper\n";
  return helpers;
}

// Sends the file by `path` after it was taken out of memory; returns how many helpers the worker
// has then.
int HelpersAfterSending(const std::string& offload_files) {
  const Scratch folder;
  const std::string content = Content();
  const std::string file = folder.Write("www/large.bin", content);
  const std::string config = folder.Write(
      "cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
      "coroutine": {"offload_files": )" +
                       offload_files + R"(},
      "routes": [{"path": "/", "static": ")" +
                       folder / "www" + R"("}]})");
  ServerProcess server({"serve", "--allow-root", config});
  EXPECT_TRUE(server.WaitServing()) << server.output();
  EXPECT_EQ(HelpersOf(server.workers().at(0)), 0);
  if (!Chill(file)) return -1;
  const Answer answer = Ask(server.port(), "/large.bin");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body == content);
  const int helpers = HelpersOf(server.workers().at(0));
  EXPECT_EQ(server.Stop(SIGTERM), 0);
  return helpers;
}

TEST(ColdFile, IsSentByHelpers) {
  const int helpers = HelpersAfterSending("true");
  if (helpers < 0) GTEST_SKIP() << "this file system does not tell what is in memory";
  EXPECT_GE(helpers, 1);
}

TEST(ColdFile, IsSentByTheWorkerItselfIfTheConfigurationSaysSo) {
  const int helpers = HelpersAfterSending("false");
  if (helpers < 0) GTEST_SKIP() << "this file system does not tell what is in memory";
  EXPECT_EQ(helpers, 0);
}

}  // namespace
}  // namespace cogi::server
