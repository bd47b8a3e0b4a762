#include "server/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/load.h"
#include "tests/server/scratch.h"

namespace cogi::server {
namespace {

std::string RefusalOf(const config::Listener& settings) {
  try {
    const auto listener = Listener::Bind(settings);
    listener->Remove();
  } catch (const StartError& error) {
    return error.what();
  }
  return "";
}

TEST(Listener, APortInUseIsSaidWithTheMend) {
  const auto first = Listener::Bind(config::ParseListener("http:127.0.0.1:0"));
  const std::string shown = first->shown();
  const std::string refusal = RefusalOf(config::ParseListener(shown));
  EXPECT_NE(refusal.find(shown), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("in use by another program"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("choose another port"), std::string::npos) << refusal;
}

TEST(Listener, ALiveUnixSocketIsLeftAlone) {
  const Scratch folder;
  const config::Listener settings = config::ParseListener("fastcgi:unix:" + (folder / "s"));
  const auto first = Listener::Bind(settings);
  const std::string refusal = RefusalOf(settings);
  EXPECT_NE(refusal.find("in use by a running server"), std::string::npos) << refusal;
  EXPECT_EQ(access((folder / "s").c_str(), F_OK), 0);
}

TEST(Listener, AStaleUnixSocketIsReplaced) {
  const Scratch folder;
  const config::Listener settings = config::ParseListener("fastcgi:unix:" + (folder / "s"));
  Listener::Bind(settings).reset();
  ASSERT_EQ(access((folder / "s").c_str(), F_OK), 0);
  const auto second = Listener::Bind(settings);
  struct stat status {};
  ASSERT_EQ(stat((folder / "s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  second->Remove();
  EXPECT_NE(access((folder / "s").c_str(), F_OK), 0);
}

TEST(Listener, AFileInTheWayIsKeptAndNamed) {
  const Scratch folder;
  folder.Write("s", "mine");
  const std::string refusal = RefusalOf(config::ParseListener("fastcgi:unix:" + (folder / "s")));
  EXPECT_NE(refusal.find("is no socket"), std::string::npos) << refusal;
  EXPECT_EQ(ReadFile(folder / "s"), "mine");
}

TEST(Listener, AMissingFolderAnAddressOfOthersAndALongPathAreNamed) {
  const Scratch folder;
  EXPECT_NE(RefusalOf(config::ParseListener("fastcgi:unix:" + (folder / "no/s")))
                .find("folder of the socket does not exist"),
            std::string::npos);
  EXPECT_NE(RefusalOf(config::ParseListener("http:192.0.2.1:0")).find("no such address"),
            std::string::npos);
  config::Listener long_path;
  long_path.unix_path = "/" + std::string(200, 'x');
  EXPECT_NE(RefusalOf(long_path).find("longer than"), std::string::npos);
}

TEST(Listener, RemoveLeavesASocketThatAnotherServerMadeMeanwhile) {
  const Scratch folder;
  const config::Listener settings = config::ParseListener("fastcgi:unix:" + (folder / "s"));
  const auto first = Listener::Bind(settings);
  ASSERT_EQ(unlink((folder / "s").c_str()), 0);
  const auto second = Listener::Bind(settings);
  first->Remove();
  EXPECT_EQ(access((folder / "s").c_str(), F_OK), 0);
}

TEST(Listener, OneThatWasHandedOverSendsAtOnceToo) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const auto listener = Listener::Adopt(config::ParseListener("http:127.0.0.1:0"), fd);
  int on = 0;
  socklen_t size = sizeof on;
  ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
  EXPECT_EQ(on, 1);
}

}  // namespace
}  // namespace cogi::server
