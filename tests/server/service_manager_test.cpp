// systemd's ways: sockets that are handed over, and what the manager is told.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class ServiceManager : public testing::Test {
 protected:
  ServiceManager() : fd_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder_ / "notify";
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~ServiceManager() override {
    for (const char* name : {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"}) unsetenv(name);
    close(fd_);
  }

  std::string Told() const {
    char text[256];
    const ssize_t got = recv(fd_, text, sizeof text, 0);
    return {text, static_cast<size_t>(got < 0 ? 0 : got)};
  }

  Scratch folder_;
  int fd_;
};

TEST_F(ServiceManager, IsToldOfStartReloadAndStop) {
  folder_.Write("www/index.html", "x");
  ServerProcess server(
      {"serve", folder_ / "www", "--listen", "http:127.0.0.1:0", "--workers", "1"});
  EXPECT_EQ(Told(), "READY=1");
  server.Signal(SIGHUP);
  // With the time that Type=notify-reload wants to see.
  EXPECT_EQ(Told().rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0U);
  EXPECT_EQ(Told(), "READY=1");
  EXPECT_EQ(server.Stop(SIGTERM), 0);
  EXPECT_EQ(Told(), "STOPPING=1");
}

TEST_F(ServiceManager, HearsTheWatchdogWhenItWantsTo) {
  setenv("WATCHDOG_USEC", "200000", 1);
  folder_.Write("www/index.html", "x");
  ServerProcess server(
      {"serve", folder_ / "www", "--listen", "http:127.0.0.1:0", "--workers", "1"});
  int pings = 0;
  for (int message = 0; message < 4; ++message) pings += Told() == "WATCHDOG=1";
  EXPECT_GE(pings, 3);
  EXPECT_EQ(server.Stop(SIGTERM), 0);
}

TEST_F(ServiceManager, HandsOverASocketThatListens) {
  const int listening = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 16), 0);
  socklen_t size = sizeof address;
  getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
  const int port = ntohs(address.sin_port);
  // A client that came before the server did is answered too.
  Client early(port);
  ASSERT_TRUE(early.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  setenv("LISTEN_FDS", "1", 1);
  folder_.Write("www/index.html", "handed over");
  ServerProcess server({"serve", folder_ / "www", "--listen",
                        "http:127.0.0.1:" + std::to_string(port), "--workers", "1"},
                       listening);
  close(listening);
  EXPECT_EQ(early.ReadAnswer().body, "handed over") << server.output();
  EXPECT_TRUE(server.WaitServing());
  EXPECT_EQ(server.Stop(SIGTERM), 0);
}

// It is the manager's: what a reload drops, a later one finds again, and its file stays at the end.
TEST_F(ServiceManager, KeepsItsSocketOverReloadsThatDoWithoutIt) {
  const std::string path = folder_ / "http.sock";
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 16), 0);
  setenv("LISTEN_FDS", "1", 1);
  const auto configure = [&](const std::string& listen, const std::string& more = "") {
    return folder_.Write("cogi.json", "{\"listen\": [" + listen +
                                          "], \"workers\": 1, \"log\": {\"access\": \"off\"}, "
                                          "\"routes\": [{\"native\": \"hello\"" +
                                          more + "}]}");
  };
  const std::string with = "\"http:127.0.0.1:0\", \"http:unix:" + path + "\"";
  ServerProcess server({"serve", "--allow-root", configure(with)}, listening);
  close(listening);
  ASSERT_TRUE(server.WaitServing()) << server.output();
  const auto answers = [&] {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const std::string request = "GET / HTTP/1.0\r\n\r\n";
    char byte = 0;
    const bool answered = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                          write(fd, request.data(), request.size()) > 0 && read(fd, &byte, 1) == 1;
    close(fd);
    return answered;
  };
  EXPECT_TRUE(answers());
  const auto reload = [&](const std::string& text) {
    const pid_t before = server.workers().at(0);
    EXPECT_FALSE(text.empty());
    server.Signal(SIGHUP);
    EXPECT_TRUE(WaitUntil([&] {
      const auto workers = server.workers();
      return workers.size() == 1 && workers[0] != before;
    })) << server.output();
  };
  reload(configure("\"http:127.0.0.1:0\""));
  // One that takes the socket and then cannot be served leaves it, too.
  configure(with, ", \"auth\": {\"users\": \"/nonexistent\"}");
  server.Signal(SIGHUP);
  ASSERT_TRUE(server.WaitOutput("/nonexistent")) << server.output();
  reload(configure(with));
  EXPECT_TRUE(answers()) << server.output();
  EXPECT_EQ(server.Stop(SIGTERM), 0);
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace cogi::server
