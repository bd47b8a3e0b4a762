// Reload: a new generation of workers serves before the old one leaves.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class Reload : public testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("one/index.html", "one");
    folder_.Write("two/index.html", "two");
    Configure("one");
    server_ = std::make_unique<ServerProcess>(
        std::vector<std::string>{"serve", "--allow-root", folder_ / "cogi.json"});
    ASSERT_TRUE(server_->WaitServing(2)) << server_->output();
  }
  void TearDown() override { EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output(); }

  void Configure(const std::string& site, const std::string& keys = "",
                 const std::string& routes = "") {
    folder_.Write("cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 2,
      "pid_file": "cogi.pid", "log": {"access": "off"}, )" +
                                   keys + "\"routes\": [" + routes +
                                   R"({"path": "/", "static": ")" + site + "\"}]}");
  }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(Reload, TheNewConfigurationServesAndTheOldWorkersLeave) {
  const std::vector<pid_t> before = server_->workers();
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
  Configure("two");
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("reloaded ")) << server_->output();
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/").body == "two"; }));
  EXPECT_TRUE(WaitUntil([&] { return server_->workers().size() == 2; }));
  for (const pid_t worker : server_->workers())
    EXPECT_EQ(std::count(before.begin(), before.end(), worker), 0);
}

TEST_F(Reload, AConnectionThatRestsIsServedByTheNewWorkers) {
  std::vector<std::unique_ptr<Client>> resting;
  for (int count = 0; count < 300; ++count) {
    resting.push_back(std::make_unique<Client>(server_->port()));
    ASSERT_EQ(resting.back()->Ask("/").body, "one");
  }
  const std::vector<pid_t> before = server_->workers();
  Configure("two");
  server_->Signal(SIGHUP);
  // None of them is closed, and nothing holds the old workers any longer.
  EXPECT_TRUE(WaitUntil([&] {
    const std::vector<pid_t> now = server_->workers();
    return now.size() == 2 && std::count(before.begin(), before.end(), now[0]) == 0 &&
           std::count(before.begin(), before.end(), now[1]) == 0;
  })) << server_->output();
  for (const auto& client : resting) EXPECT_EQ(client->Ask("/").body, "two");
}

TEST_F(Reload, WhatLiesUnreadOnAConnectionGoesAlong) {
  auto kept = std::make_unique<Client>(server_->port());
  ASSERT_EQ(kept->Ask("/").body, "one");
  for (int time = 0; time < 20; ++time) {
    Configure(time % 2 == 0 ? "two" : "one");
    server_->Signal(SIGHUP);
    const Answer answer = kept->Ask("/");
    ASSERT_EQ(answer.status, 200) << time << server_->output();
    if (answer.Field("Connection") == "close") {  // it came while the old worker answered
      kept = std::make_unique<Client>(server_->port());
      ASSERT_EQ(kept->Ask("/").status, 200);
    }
  }
}

TEST_F(Reload, ABadConfigurationLeavesTheOldOneServingAndSaysWhy) {
  const std::vector<pid_t> before = server_->workers();
  folder_.Write("cogi.json", "{\"wrkers\": 2}");
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("reload refused")) << server_->output();
  EXPECT_NE(server_->output().find("wrkers"), std::string::npos);
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
  EXPECT_EQ(server_->workers(), before);
}

TEST_F(Reload, AConfigurationWhoseWorkersCannotServeIsGivenUp) {
  const std::vector<pid_t> before = server_->workers();
  folder_.Write("cogi.json", R"({"listen": ["http:127.0.0.1:0"], "workers": 2,
    "routes": [{"path": "/", "native": "nobody"}]})");
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("reload failed")) << server_->output();
  EXPECT_TRUE(WaitUntil([&] { return server_->workers() == before; }));
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
}

// Modules load and workers start, but what they would answer is wrong.
TEST_F(Reload, ASelfCheckThatFailsLeavesTheOldOneServingAndSaysWhy) {
  const std::vector<pid_t> before = server_->workers();
  Configure("two", R"("self_check": ["/", "/gone"], )");
  std::string output;
  EXPECT_EQ(RunCogi({"reload", "--wait", folder_ / "cogi.json"}, &output), 1);
  EXPECT_NE(output.find("/gone of localhost was answered 404, expected 200"), output.npos)
      << output;
  ASSERT_TRUE(server_->WaitOutput("reload failed, the old configuration goes on"));
  EXPECT_TRUE(WaitUntil([&] { return server_->workers() == before; })) << server_->output();
  for (int request = 0; request < 20; ++request) EXPECT_EQ(Ask(server_->port(), "/").body, "one");
  // Mended, the same reload goes through.
  folder_.Write("two/gone", "here");
  EXPECT_EQ(RunCogi({"reload", "--wait", folder_ / "cogi.json"}, &output), 0) << output;
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/").body == "two"; }));
}

TEST_F(Reload, ASelfCheckWithoutAnAnswerEndsAtItsHandlersDeadline) {
  Configure("one", R"("self_check": ["/never"], "timeouts": {"handler": "300ms"}, )",
            std::string(R"({"path": "/never", "native": {"module": ")") + TEST_HANDLERS +
                R"(", "handler": "sleep"}}, )");
  std::string output;
  EXPECT_EQ(RunCogi({"reload", "--wait", folder_ / "cogi.json"}, &output), 1);
  EXPECT_NE(output.find("/never of localhost was answered 504"), output.npos) << output;
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
}

TEST_F(Reload, AnUpgradeWhoseSelfCheckFailsLeavesTheOldWorkersServing) {
  const std::vector<pid_t> before = server_->workers();
  Configure("two", R"("self_check": ["/gone"], )");
  std::string output;
  EXPECT_EQ(RunCogi({"reload", "--binary", "--wait", folder_ / "cogi.json"}, &output), 1);
  EXPECT_NE(output.find("/gone of localhost was answered 404"), output.npos) << output;
  for (int request = 0; request < 20; ++request) EXPECT_EQ(Ask(server_->port(), "/").body, "one");
  for (const pid_t worker : before) EXPECT_EQ(kill(worker, 0), 0);
  // It is tried again until it passes.
  folder_.Write("two/gone", "here");
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/").body == "two"; }));
  EXPECT_TRUE(WaitUntil([&] { return server_->workers().size() == 2; })) << server_->output();
}

// A server that has passed once is not kept from mending itself by what has gone wrong since.
TEST_F(Reload, AWorkerThatReplacesADeadOneDoesNotCheckItself) {
  folder_.Write("two/there", "");
  Configure("two", R"("self_check": ["/there"], )");
  std::string output;
  ASSERT_EQ(RunCogi({"reload", "--wait", folder_ / "cogi.json"}, &output), 0) << output;
  EXPECT_TRUE(server_->WaitOutput("self-check: /there of localhost was answered 200"));
  std::filesystem::remove(folder_ / "two/there");
  ASSERT_TRUE(WaitUntil([&] { return server_->workers().size() == 2; }));
  const pid_t victim = server_->workers().front();
  kill(victim, SIGKILL);
  EXPECT_TRUE(WaitUntil([&] {
    const std::vector<pid_t> now = server_->workers();
    return now.size() == 2 && std::count(now.begin(), now.end(), victim) == 0;
  })) << server_->output();
  for (int request = 0; request < 20; ++request)
    EXPECT_EQ(Client(server_->port()).Ask("/").status, 200) << server_->output();
}

TEST_F(Reload, AStartWhoseSelfCheckFailsIsNone) {
  folder_.Write("other.json", R"({"listen": ["http:127.0.0.1:0"], "self_check": [{"path": "/?a=1",
    "host": "b.example", "status": 204}], "routes": [{"path": "/", "native": "hello"}]})");
  std::string output;
  EXPECT_EQ(RunCogi({"serve", "--allow-root", folder_ / "other.json"}, &output), 1);
  EXPECT_NE(output.find("/?a=1 of b.example was answered 200, expected 204"), output.npos)
      << output;
}

TEST_F(Reload, AnUpgradeKeepsPidPortAndServiceAndTheOldWorkersLeave) {
  const std::vector<pid_t> before = server_->workers();
  const int port = server_->port();
  Client kept(port);
  EXPECT_EQ(kept.Ask("/").body, "one");
  server_->Signal(SIGRTMIN);
  ASSERT_TRUE(server_->WaitOutput("reloaded ")) << server_->output();
  EXPECT_EQ(kept.Ask("/").body, "one");
  EXPECT_EQ(Ask(port, "/").body, "one");
  EXPECT_TRUE(WaitUntil([&] {
    const std::vector<pid_t> now = server_->workers();
    return now.size() == 2 && std::count(before.begin(), before.end(), now[0]) == 0 &&
           std::count(before.begin(), before.end(), now[1]) == 0;
  })) << server_->output();
}

TEST_F(Reload, AnUpgradeThatCannotTakeTheConfigurationIsRefused) {
  const std::vector<pid_t> before = server_->workers();
  folder_.Write("cogi.json", "{\"wrkers\": 2}");
  server_->Signal(SIGRTMIN);
  ASSERT_TRUE(server_->WaitOutput("upgrade refused")) << server_->output();
  EXPECT_EQ(server_->workers(), before);
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
}

// By then the old version would be gone.
TEST_F(Reload, AnUpgradeThatCannotListenWhereItShallIsRefused) {
  const std::vector<pid_t> before = server_->workers();
  const ServerProcess other({"serve", folder_ / "one", "--listen", "http:127.0.0.1:0"});
  ASSERT_TRUE(other.WaitOutput(" (pool "));
  const std::string taken = "http:127.0.0.1:" + std::to_string(other.port());
  folder_.Write("cogi.json", R"({"listen": ["http:127.0.0.1:0", ")" + taken + R"("], "workers": 2,
    "pid_file": "cogi.pid", "routes": [{"path": "/", "static": "two"}]})");
  std::string output;
  EXPECT_EQ(RunCogi({"reload", "--binary", "--wait", folder_ / "cogi.json"}, &output), 1);
  EXPECT_NE(output.find("upgrade refused: cannot listen on " + taken), output.npos) << output;
  EXPECT_EQ(server_->workers(), before);
  EXPECT_EQ(Ask(server_->port(), "/").body, "one");
}

// The new version's first workers do not serve yet: those of the reload are not the old version's.
TEST_F(Reload, AReloadRightAfterAnUpgradeKeepsItsWorkers) {
  server_->Signal(SIGRTMIN);
  ASSERT_TRUE(server_->WaitOutput("takes over"));
  server_->Signal(SIGHUP);
  ASSERT_TRUE(WaitUntil([&] {
    const std::string output = server_->output();
    const size_t first = output.find("reloaded ");
    return first != output.npos && output.find("reloaded ", first + 1) != output.npos;
  }));
  // Whoever was retired has left by now.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  for (int request = 0; request < 20; ++request)
    EXPECT_EQ(Client(server_->port()).Ask("/").status, 200) << server_->output();
}

TEST_F(Reload, ReloadsAndUpgradesUnderLoadLoseNoRequest) {
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0}, failed{0};
  std::vector<std::thread> load;
  const int port = server_->port();
  for (int thread = 0; thread < 4; ++thread)
    load.emplace_back([&, keep = thread % 2 == 0] {
      auto client = std::make_unique<Client>(port);
      while (!stop) {
        const Answer answer = client->Ask("/");
        (answer.status == 200 ? answered : failed)++;
        if (!keep || answer.status != 200 || answer.Field("Connection") == "close")
          client = std::make_unique<Client>(port);
      }
    });
  for (int time = 0; time < 10; ++time) {
    server_->Signal(time % 3 == 2 ? SIGRTMIN : SIGHUP);
    const int mark = answered;
    EXPECT_TRUE(WaitUntil([&] { return answered > mark + 50; }));
  }
  stop = true;
  for (std::thread& thread : load) thread.join();
  EXPECT_EQ(failed, 0) << server_->output();
  EXPECT_TRUE(server_->WaitOutput("reloaded "));
}

}  // namespace
}  // namespace cogi::server
