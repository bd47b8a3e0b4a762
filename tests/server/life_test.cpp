// The life of the processes: supervision, signals, drain.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class Life : public testing::Test {
 protected:
  // A server with the native handlers and `keys` more of its configuration.
  void Serve(const std::string& keys = "", size_t workers = 1) {
    const std::string config = folder_.Write(
        "cogi.json", "{\"listen\": [\"http:127.0.0.1:0\", \"http:unix:" + (folder_ / "http.sock") +
                         "\"], \"workers\": " + std::to_string(workers) + ", " + keys +
                         R"("log": {"access": ")" + (folder_ / "access.log") + R"("},
               "routes": [{"path": "/", "native": "hello"}, {"path": "/echo", "native": "echo"}]})");
    server_ =
        std::make_unique<ServerProcess>(std::vector<std::string>{"serve", "--allow-root", config});
    ASSERT_TRUE(server_->WaitServing(workers)) << server_->output();
  }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
  static constexpr const char* kHalfRequest =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12";
};

TEST_F(Life, AKilledWorkerIsReplacedAndTheServerGoesOn) {
  Serve("", 2);
  for (int time = 0; time < 3; ++time) {
    const std::vector<pid_t> before = server_->workers();
    ASSERT_EQ(kill(before.front(), SIGKILL), 0);
    EXPECT_TRUE(WaitUntil([&] {
      const std::vector<pid_t> now = server_->workers();
      return now.size() == 2 && std::count(now.begin(), now.end(), before.front()) == 0;
    }));
    EXPECT_EQ(Ask(server_->port(), "/").status, 200);
  }
  EXPECT_TRUE(server_->WaitOutput("was ended by signal 9"));
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Life, TermFinishesWhatIsInFlightClosesWhatRestsAndExits0) {
  for (const int signal : {SIGTERM, SIGQUIT}) {
    Serve();
    Client busy(server_->port());
    ASSERT_TRUE(busy.Send(kHalfRequest));
    Client resting(server_->port());
    ASSERT_EQ(resting.Ask("/").status, 200);
    ASSERT_EQ(resting.Ask("/").status, 200);
    server_->Signal(signal);
    EXPECT_TRUE(resting.AtEnd());
    EXPECT_TRUE(WaitUntil([&] { return !Client(server_->port()).connected(); }));
    ASSERT_TRUE(busy.Send("34"));
    const Answer answer = busy.ReadAnswer();
    EXPECT_EQ(answer.body, "1234");
    EXPECT_EQ(answer.Field("Connection"), "close");
    EXPECT_TRUE(busy.AtEnd());
    EXPECT_EQ(server_->End(), 0) << server_->output();
    EXPECT_FALSE(std::filesystem::exists(folder_ / "http.sock"));
  }
}

TEST_F(Life, ADrainEndsAtItsLimit) {
  Serve("\"drain\": \"300ms\", ");
  Client stuck(server_->port());
  ASSERT_TRUE(stuck.Send(kHalfRequest));
  ASSERT_EQ(Ask(server_->port(), "/").status, 200);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
  EXPECT_NE(server_->output().find("1 connections are cut"), std::string::npos)
      << server_->output();
}

TEST_F(Life, IntStopsAtOnce) {
  Serve();
  Client stuck(server_->port());
  ASSERT_TRUE(stuck.Send(kHalfRequest));
  EXPECT_EQ(server_->Stop(SIGINT), 0);
}

TEST_F(Life, WorkersDoNotOutliveAMasterThatIsKilled) {
  Serve("", 2);
  const std::vector<pid_t> workers = server_->workers();
  EXPECT_EQ(server_->Stop(SIGKILL), 128 + SIGKILL);
  for (const pid_t worker : workers)
    EXPECT_TRUE(WaitUntil([&] { return kill(worker, 0) != 0; })) << worker;
}

TEST_F(Life, Usr1OpensTheLogsAgain) {
  Serve();
  ASSERT_EQ(Ask(server_->port(), "/before").status, 200);
  ASSERT_TRUE(WaitUntil(
      [&] { return ReadFile(folder_ / "access.log").find("/before") != std::string::npos; }));
  std::filesystem::rename(folder_ / "access.log", folder_ / "access.log.1");
  server_->Signal(SIGUSR1);
  ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(folder_ / "access.log"); }));
  // The worker opens it a moment after the master: its lines arrive there in the end.
  EXPECT_TRUE(WaitUntil([&] {
    return Ask(server_->port(), "/after").status == 200 &&
           ReadFile(folder_ / "access.log").find("/after") != std::string::npos;
  }));
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Life, Usr2SaysWhatIsGoingOn) {
  Serve();
  Client client(server_->port());
  ASSERT_EQ(client.Ask("/").status, 200);
  server_->Signal(SIGUSR2);
  EXPECT_TRUE(server_->WaitOutput("1 connections")) << server_->output();
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Life, AnIdleServerMakesNoWakeUps) {
  Serve();
  std::vector<std::unique_ptr<Client>> idle;
  for (int count = 0; count < 100; ++count) {
    idle.push_back(std::make_unique<Client>(server_->port()));
    for (int request = 0; request < 10; ++request) ASSERT_EQ(idle.back()->Ask("/").status, 200);
  }
  sleep(1);  // the access log is written
  std::vector<pid_t> processes = server_->workers();
  processes.push_back(server_->pid());
  const auto switches = [](pid_t pid) {
    const std::string status = ReadFile("/proc/" + std::to_string(pid) + "/status");
    const size_t at = status.find("\nvoluntary_ctxt_switches:");
    return std::atol(status.c_str() + at + 25);
  };
  std::vector<long> before;
  for (const pid_t pid : processes) before.push_back(switches(pid));
  sleep(5);
  for (size_t index = 0; index < processes.size(); ++index)
    EXPECT_LE(switches(processes[index]) - before[index], 2) << processes[index];
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Life, WithoutDescriptorsItWaitsWithoutSpinningAndRecovers) {
  Serve();
  const pid_t worker = server_->workers().front();
  const std::string set_limit =
      "prlimit --nofile=40:40 --pid " + std::to_string(worker) + " 2>/dev/null";
  ASSERT_EQ(system(set_limit.c_str()), 0);
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 60; ++count)
    clients.push_back(std::make_unique<Client>(server_->port()));
  EXPECT_TRUE(server_->WaitOutput("no connection can be accepted")) << server_->output();
  const auto ticks = [&] {
    std::string stat = ReadFile("/proc/" + std::to_string(worker) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string word;
    long user = 0, system = 0;
    for (int field = 0; field < 11; ++field) fields >> word;
    fields >> user >> system;
    return user + system;
  };
  const long before = ticks();
  sleep(2);
  EXPECT_LT(ticks() - before, 20);  // of 200
  clients.clear();
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/").status == 200; }));
  EXPECT_EQ(server_->workers().front(), worker);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

// Crash loops: each time it dies young the next start is later.
TEST_F(Life, AWorkerThatKeepsDyingIsStartedLessOften) {
  Serve(R"("restart": {"min": "50ms", "max": "400ms"}, )");
  const auto said = [&](const std::string& delay) {
    return server_->output().find("another one starts in " + delay + " ms") != std::string::npos;
  };
  // On a busy machine one may live for more than a second, and the count begins anew.
  for (int time = 0; time < 40 && !said("400"); ++time) {
    ASSERT_TRUE(WaitUntil([&] { return !server_->workers().empty(); }));
    kill(server_->workers().front(), SIGKILL);
    ASSERT_TRUE(WaitUntil([&] { return server_->workers().empty(); }));
  }
  for (const char* delay : {"50", "100", "200", "400"}) EXPECT_TRUE(said(delay)) << delay;
  EXPECT_TRUE(WaitUntil([&] { return Ask(server_->port(), "/").status == 200; }));
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

size_t DescriptorsOf(pid_t pid) {
  const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

// 0 if nobody traces the process.
pid_t TracerOf(pid_t pid) {
  const std::string status = ReadFile("/proc/" + std::to_string(pid) + "/status");
  const std::string name = "TracerPid:";
  const size_t at = status.find(name);
  return at == std::string::npos ? 0 : std::stoi(status.substr(at + name.size()));
}

TEST_F(Life, AWorkerThatCannotBeStartedLeavesNoDescriptor) {
  if (OutputOf("strace -qq -o /dev/null true 2>&1") != "")
    GTEST_SKIP() << "nobody may be traced here";
  Serve();
  const size_t before = DescriptorsOf(server_->pid());
  // fork() fails twice.
  const std::string trace =
      "strace -qq -o /dev/null -e trace=clone -e inject=clone:error=EAGAIN:when=1..2 -p " +
      std::to_string(server_->pid());
  FILE* const tracer = popen(("timeout 20 " + trace).c_str(), "r");
  ASSERT_TRUE(WaitUntil([&] { return TracerOf(server_->pid()) != 0; }));
  ASSERT_EQ(kill(server_->workers().front(), SIGKILL), 0);
  EXPECT_TRUE(server_->WaitOutput("cannot be started: Resource temporarily unavailable"));
  EXPECT_TRUE(WaitUntil([&] { return server_->workers().size() == 1; })) << server_->output();
  // The worker is there a moment before the master has closed the worker's ends of their sockets.
  EXPECT_TRUE(WaitUntil([&] { return DescriptorsOf(server_->pid()) == before; }))
      << DescriptorsOf(server_->pid()) << " descriptors, before: " << before;
  // LeakSanitizer, which looks when a process ends, is a tracer itself: there can be only one.
  ASSERT_EQ(kill(TracerOf(server_->pid()), SIGTERM), 0);
  pclose(tracer);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

// Signals of one kind are merged, none is fatal that anybody may send by mistake, and the requests
// of a client on a kept connection are answered all the while.
TEST_F(Life, AStormOfSignalsIsSurvived) {
  Serve("", 2);
  Client client(server_->port());
  for (int round = 0; round < 1000; ++round) {
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGALRM, SIGWINCH})
      server_->Signal(signal);
    if (round % 100 == 0)
      for (const pid_t worker : server_->workers())
        for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGALRM, SIGWINCH})
          kill(worker, signal);
    if (round % 10 == 0) {
      ASSERT_EQ(client.Ask("/").status, 200) << round;
    }
  }
  EXPECT_TRUE(WaitUntil([&] { return server_->workers().size() == 2; })) << server_->output();
  EXPECT_EQ(Ask(server_->port(), "/").status, 200);
  EXPECT_EQ(server_->output().find("was ended by signal"), std::string::npos) << server_->output();
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Life, StartsWithItsStandardDescriptorsClosed) {
  folder_.Write("www/index.html", "x");
  const std::string command = std::string("exec '") + COGI_BINARY + "' serve '" +
                              (folder_ / "www") + "' --listen 'http:unix:" + (folder_ / "s") +
                              "' --workers 1 <&- >&- 2>&- & echo $!";
  FILE* shell = popen(command.c_str(), "r");
  int pid = 0;
  ASSERT_EQ(fscanf(shell, "%d", &pid), 1);
  pclose(shell);
  EXPECT_TRUE(WaitUntil([&] { return !ChildrenOf(pid).empty(); }));
  for (int fd = 0; fd <= 2; ++fd)
    EXPECT_EQ(
        std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd)),
        "/dev/null");
  kill(pid, SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return kill(pid, 0) != 0; }));
}

}  // namespace
}  // namespace cogi::server
