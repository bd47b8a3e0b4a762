// How the workers of a pool share its connections.
#include <dirent.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <numeric>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

size_t SocketsOf(pid_t pid) {
  size_t sockets = 0;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored))
    if (std::filesystem::read_symlink(entry.path(), ignored).string().starts_with("socket:"))
      ++sockets;
  return sockets;
}

TEST(Sharing, Of400ConnectionsOpenedAtOnceNoWorkerOfFourHasMoreThan60Percent) {
  const Scratch folder;
  folder.Write("index.html", "x");
  ServerProcess server({"serve", folder.path(), "--listen", "http:127.0.0.1:0", "--workers", "4"});
  ASSERT_TRUE(server.WaitServing(4)) << server.output();
  std::vector<size_t> before;
  for (const pid_t worker : server.workers()) before.push_back(SocketsOf(worker));
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 400; ++count)
    clients.push_back(std::make_unique<Client>(server.port()));
  for (const auto& client : clients) ASSERT_TRUE(client->Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (const auto& client : clients) ASSERT_EQ(client->ReadAnswer().status, 200);
  std::vector<size_t> share;
  const std::vector<pid_t> workers = server.workers();
  for (size_t index = 0; index < workers.size(); ++index)
    share.push_back(SocketsOf(workers[index]) - before[index]);
  EXPECT_EQ(std::accumulate(share.begin(), share.end(), size_t{0}), 400u);
  for (const size_t connections : share) EXPECT_LE(connections, 240u);
  EXPECT_EQ(server.Stop(SIGTERM), 0);
}

TEST(Sharing, AnAddressHasNoMoreConnectionsThanItMay) {
  Scratch folder;
  const std::string config = folder.Write(
      "cogi.json",
      R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "limits": {"connections_per_address": 3},
          "log": {"access": "off"}, "routes": [{"path": "/", "native": "hello"}]})");
  ServerProcess server({"serve", "--allow-root", config});
  ASSERT_TRUE(server.WaitServing()) << server.output();
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 3; ++count) {
    clients.push_back(std::make_unique<Client>(server.port()));
    EXPECT_EQ(clients.back()->Ask("/").status, 200);
  }
  EXPECT_TRUE(Client(server.port()).AtEnd());
  EXPECT_TRUE(server.WaitOutput("as many connections as one address may")) << server.output();
  // Over a reload the ones it has go along and still count.
  server.Signal(SIGHUP);
  ASSERT_TRUE(server.WaitOutput("reloaded ")) << server.output();
  for (const auto& client : clients) EXPECT_EQ(client->Ask("/").status, 200);
  EXPECT_TRUE(Client(server.port()).AtEnd());
  clients.clear();
  EXPECT_TRUE(WaitUntil([&] { return Ask(server.port(), "/").status == 200; }));
  EXPECT_EQ(server.Stop(SIGTERM), 0);
}

class Full : public ServerTest {
 protected:
  void Serve() {
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "limits": {"connections": 4},
              "log": {"access": "off"},
              "routes": [{"path": "/", "native": "hello"}, {"path": "/echo", "native": "echo"}]})");
  }
};

TEST_F(Full, BeyondItsLimitOfConnectionsAWorkerLeavesThemToTheKernel) {
  Serve();
  const std::string half = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1";
  std::vector<std::unique_ptr<Client>> busy;
  for (int count = 0; count < 4; ++count) {
    busy.push_back(std::make_unique<Client>(port()));
    ASSERT_TRUE(busy.back()->Send(half));
  }
  Client waiting(port());
  ASSERT_TRUE(waiting.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(server_->WaitOutput("the limit of connections is reached")) << server_->output();
  for (const auto& client : busy) {
    ASSERT_TRUE(client->Send("2"));
    EXPECT_EQ(client->ReadAnswer().body, "12");  // none of them had to make room
  }
  busy.pop_back();
  EXPECT_EQ(waiting.ReadAnswer().status, 200);
}

TEST_F(Full, TheConnectionThatRestedLongestMakesRoomForANewOne) {
  Serve();
  std::vector<std::unique_ptr<Client>> resting;
  for (int count = 0; count < 4; ++count) {
    resting.push_back(std::make_unique<Client>(port()));
    ASSERT_EQ(resting.back()->Ask("/").status, 200);
  }
  ASSERT_EQ(resting[0]->Ask("/").status, 200);  // so the second has rested longest
  EXPECT_EQ(Get("/").status, 200);
  EXPECT_TRUE(resting[1]->AtEnd());
  for (const int other : {0, 2, 3})
    EXPECT_EQ(resting[static_cast<size_t>(other)]->Ask("/").status, 200);
  EXPECT_TRUE(server_->WaitOutput("1 connections that rested longest are closed to make room"))
      << server_->output();
}

}  // namespace
}  // namespace cogi::server
