// The command line: exit codes, and messages that tell the mend.
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "config/load.h"
#include "server/listener.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

TEST(CommandLine, VersionAndHelpAreSaid) {
  std::string output;
  EXPECT_EQ(RunCogi({"--version"}, &output), 0);
  EXPECT_TRUE(output.starts_with("cogi ")) << output;
  EXPECT_EQ(RunCogi({"--help"}, &output), 0);
  for (const char* command : {"serve", "check", "cc", "lint"})
    EXPECT_NE(output.find(command), std::string::npos) << command;
}

TEST(CommandLine, WhatMakesNoSenseIsExitCode2) {
  std::string output;
  EXPECT_EQ(RunCogi({}, &output), 2);
  EXPECT_EQ(RunCogi({"server"}, &output), 2);
  EXPECT_EQ(RunCogi({"serve", "--no-such-flag"}, &output), 2);
}

TEST(CommandLine, CheckPrintsTheRoutesOrTheRefusal) {
  const Scratch folder;
  folder.Write("www/index.html", "x");
  std::string output;
  EXPECT_EQ(RunCogi({"check",
                     folder.Write("good.json", R"({"routes": [{"path": "/", "static": "www"}]})")},
                    &output),
            0);
  EXPECT_NE(output.find("static"), std::string::npos) << output;
  EXPECT_EQ(RunCogi({"check", folder.Write("bad.json", R"({"routs": []})")}, &output), 1);
  EXPECT_NE(output.find("bad.json:1:"), std::string::npos) << output;
  EXPECT_NE(output.find("routes"), std::string::npos) << output;
}

TEST(CommandLine, APortInUseIsExitCode1) {
  const Scratch folder;
  const auto taken = Listener::Bind(config::ParseListener("http:127.0.0.1:0"));
  std::string output;
  EXPECT_EQ(RunCogi({"serve", folder.path(), "--listen", taken->shown()}, &output), 1);
  EXPECT_NE(output.find("in use by another program"), std::string::npos) << output;
}

TEST(CommandLine, ReloadAndStopFindTheServerByItsPidFile) {
  const Scratch folder;
  const std::string good = R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "pid_file": "pid",
    "routes": [{"path": "/", "native": "hello"}]})";
  const std::string config = folder.Write("cogi.json", good);
  std::string output;
  EXPECT_EQ(RunCogi({"stop", config}, &output), 1);
  EXPECT_NE(output.find("no server"), std::string::npos) << output;
  ServerProcess server({"serve", "--allow-root", config});
  ASSERT_TRUE(server.WaitServing()) << server.output();
  const pid_t worker = server.workers().front();
  EXPECT_EQ(RunCogi({"reload", "--wait", config}, &output), 0) << output;
  EXPECT_TRUE(WaitUntil([&] { return server.workers().size() == 1; }));
  EXPECT_NE(server.workers().front(), worker);
  folder.Write("cogi.json", R"({"pid_file": "pid", "wrkers": 1})");
  EXPECT_EQ(RunCogi({"reload", "--wait", folder / "pid"}, &output), 1);
  EXPECT_NE(output.find("wrkers"), std::string::npos) << output;
  EXPECT_EQ(RunCogi({"reload", config}, &output), 1);
  EXPECT_NE(output.find("wrkers"), std::string::npos) << output;
  folder.Write("cogi.json", good);
  EXPECT_EQ(RunCogi({"reload", "--wait", folder / "pid"}, &output), 0) << output;
  // The stopping command sees the end only when this parent has collected the master.
  std::thread collector([&] { EXPECT_EQ(server.End(), 0); });
  EXPECT_EQ(RunCogi({"stop", folder / "pid"}, &output), 0) << output;
  collector.join();
  EXPECT_NE(access((folder / "pid").c_str(), F_OK), 0);
}

TEST(CommandLine, AConfigurationIsNotServedAsRootUnlessToldSo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can show it";
  const Scratch folder;
  const std::string config = folder.Write(
      "cogi.json", R"({"listen": ["http:127.0.0.1:0"], "routes": [{"path": "/", "static": "."}]})");
  std::string output;
  EXPECT_EQ(RunCogi({"serve", config}, &output), 1);
  EXPECT_NE(output.find("--allow-root"), std::string::npos) << output;
}

TEST(CommandLine, WorkersRunAsTheUserOfTheirPool) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can show it";
  const Scratch folder;
  const std::string config =
      folder.Write("cogi.json",
                   R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "user": "nobody",
          "routes": [{"path": "/", "native": "hello"}]})");
  ServerProcess server({"serve", config});
  ASSERT_TRUE(server.WaitServing()) << server.output();
  const std::string status =
      ReadFile("/proc/" + std::to_string(server.workers().front()) + "/status");
  EXPECT_NE(status.find("Uid:\t65534\t65534\t65534\t65534"), std::string::npos) << status;
  EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
  EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos) << status;
  EXPECT_EQ(server.Stop(SIGTERM), 0);
}

}  // namespace
}  // namespace cogi::server
