// What the server sees and says of itself: handlers that hang, clients that leave, counters.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    const auto module = [](const std::string& name) {
      return R"({"path": "/)" + name +
             R"(", "native": {"module": ")" TEST_HANDLERS R"(", "handler": ")" + name + "\"}},";
    };
    const std::string config = folder_.Write(
        "cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
          "stall": {"log": "100ms", "restart": "500ms"}, "drain": "1s", "routes": [)" +
                         module("spin") + module("sleep") + module("throw") +
                         R"({"path": "/status", "native": "status"},
                            {"path": "/metrics", "native": "metrics"},
                            {"path": "/healthz", "native": "healthz"}]})");
    server_ =
        std::make_unique<ServerProcess>(std::vector<std::string>{"serve", "--allow-root", config});
    ASSERT_TRUE(server_->WaitServing()) << server_->output();
  }
  void TearDown() override { EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output(); }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST(Status, IsAnsweredOnItsOwnListenerWhateverKeepsTheOthersBusy) {
  Scratch folder;
  const std::string config = folder.Write(
      "cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
          "status": "http:unix:)" +
                       (folder / "status.sock") + R"(",
          "limits": {"connections": 2}, "routes": [{"path": "/", "native":
          {"module": ")" TEST_HANDLERS R"(", "handler": "spin"}}]})");
  ServerProcess server({"serve", "--allow-root", config});
  ASSERT_TRUE(server.WaitServing(2)) << server.output();
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 8; ++count) {
    clients.push_back(std::make_unique<Client>(server.port()));
    ASSERT_TRUE(clients.back()->Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  }
  const auto ask = [&](const std::string& path) {
    std::string answer;
    const std::string command =
        "curl -s --max-time 5 --unix-socket '" + (folder / "status.sock") + "' http://a" + path;
    FILE* curl = popen(command.c_str(), "r");
    char text[4096];
    while (const size_t got = fread(text, 1, sizeof text, curl)) answer.append(text, got);
    pclose(curl);
    return answer;
  };
  EXPECT_EQ(ask("/healthz"), "ok\n");
  EXPECT_TRUE(WaitUntil([&] { return ask("/status").find("\"running\": 1") != std::string::npos; }))
      << ask("/status");
  EXPECT_NE(ask("/metrics").find("cogi_requests_total{pool=\"main\""), std::string::npos);
  clients.clear();
  EXPECT_EQ(server.Stop(SIGINT), 0);
}

TEST_F(Watch, AHandlerThatDoesNotYieldIsNamedAndItsWorkerReplaced) {
  const pid_t worker = server_->workers().front();
  Client client(server_->port());
  ASSERT_TRUE(client.Send("GET /spin?why HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(server_->WaitOutput("does not yield: /spin?why; at")) << server_->output();
  EXPECT_NE(server_->output().find("server_test_handlers.so+0x"), std::string::npos)
      << server_->output();
  EXPECT_TRUE(server_->WaitOutput("is stuck and replaced")) << server_->output();
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/healthz").body == "ok\n"; }));
  EXPECT_NE(server_->workers().front(), worker);
}

TEST_F(Watch, AHandlerWhoseClientHasGoneIsCancelled) {
  {
    Client client(server_->port());
    ASSERT_TRUE(client.Send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_TRUE(WaitUntil([&] {
      return Ask(server_->port(), "/status").body.find("\"running\": 2") != std::string::npos;
    }));
    client.Reset();
  }
  EXPECT_TRUE(WaitUntil([&] {
    return Ask(server_->port(), "/status").body.find("\"clients_gone\": 1") != std::string::npos;
  })) << Ask(server_->port(), "/status").body;
  EXPECT_NE(Ask(server_->port(), "/status").body.find("\"running\": 1"), std::string::npos);
}

TEST_F(Watch, AnExceptionIs500AndCounted) {
  EXPECT_EQ(Ask(server_->port(), "/throw").status, 500);
  EXPECT_NE(Ask(server_->port(), "/status").body.find("\"exceptions\": 1"), std::string::npos);
  EXPECT_NE(Ask(server_->port(), "/metrics")
                .body.find("cogi_exceptions_total{pool=\"main\",worker=\"0\"} 1\n"),
            std::string::npos);
}

TEST_F(Watch, TheCountersOutliveAWorker) {
  EXPECT_EQ(Ask(server_->port(), "/throw").status, 500);
  const pid_t worker = server_->workers().front();
  kill(worker, SIGKILL);
  ASSERT_TRUE(WaitUntil([&] {
    const auto workers = server_->workers();
    return workers.size() == 1 && workers.front() != worker;
  }));
  EXPECT_NE(Ask(server_->port(), "/status").body.find("\"exceptions\": 1"), std::string::npos);
}

}  // namespace
}  // namespace cogi::server
