// A configuration's routes, and the limits that hold before a handler runs.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class Routes : public testing::Test {
 protected:
  void Serve(const std::string& routes, const std::string& more = "") {
    folder_.Write("files/x.txt", "file x");
    folder_.Write("www/index.html", "front");
    const std::string config = folder_.Write(
        "cogi.json", "{\"listen\": [\"http:127.0.0.1:0\"], \"workers\": 1, " + more +
                         "\"log\": {\"access\": \"off\"}, \"routes\": " + routes + "}");
    server_ =
        std::make_unique<ServerProcess>(std::vector<std::string>{"serve", "--allow-root", config});
    ASSERT_TRUE(server_->WaitServing()) << server_->output();
  }
  void TearDown() override {
    if (server_) {
      EXPECT_EQ(server_->Stop(SIGTERM), 0) << server_->output();
    }
  }

  Scratch folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(Routes, AreFoundByHostAndPath) {
  Serve(R"([{"path": "/", "static": "www"}, {"path": "/files/", "static": "files"},
            {"exact": "/hello", "native": "hello"},
            {"path": "/", "host": "other.example", "native": "hello"}])");
  Client client(server_->port());
  EXPECT_EQ(client.Ask("/").body, "front");
  EXPECT_EQ(client.Ask("/files/x.txt").body, "file x");
  EXPECT_EQ(client.Ask("/hello").body, "hello\n");
  EXPECT_EQ(client.Ask("/hello/x").status, 404);
  ASSERT_TRUE(client.Send("GET / HTTP/1.1\r\nHost: Other.Example:80\r\n\r\n"));
  EXPECT_EQ(client.ReadAnswer().body, "hello\n");
}

TEST_F(Routes, ABodyOverTheLimitIs413BeforeTheHandlerRuns) {
  Serve(R"([{"path": "/small", "native": "echo", "limits": {"body": 10}},
            {"path": "/", "native": "echo"}])");
  EXPECT_EQ(Ask(server_->port(), "/small", "POST", "", "0123456789").body, "0123456789");
  EXPECT_EQ(Ask(server_->port(), "/small", "POST", "", "0123456789x").status, 413);
  EXPECT_EQ(Ask(server_->port(), "/", "POST", "", std::string(100000, 'y')).body,
            std::string(100000, 'y'));
}

TEST_F(Routes, AHandlerOverItsDeadlineIs504) {
  Serve(R"([{"path": "/", "native": "echo", "timeouts": {"handler": "200ms"}}])");
  Client client(server_->port());
  // The handler waits for a body that does not come.
  ASSERT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_EQ(client.ReadAnswer().status, 504);
  EXPECT_TRUE(server_->WaitOutput("not answered within 200 ms")) << server_->output();
}

TEST_F(Routes, BeyondItsPlacesAndItsQueueARouteRefuses) {
  Serve(R"([{"path": "/", "native": "echo", "limits": {"concurrency": 1, "queue": 0}}])");
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
  Client first(server_->port());
  ASSERT_TRUE(first.Send(head));
  // The first may still be on its way when the second arrives: one of the two has the place.
  Client second(server_->port());
  ASSERT_TRUE(WaitUntil([&] {
    const Answer answer = Ask(server_->port(), "/");
    return answer.status == 503 && answer.Field("Retry-After") == "1";
  }));
  ASSERT_TRUE(first.Send("1"));
  EXPECT_EQ(first.ReadAnswer().body, "1");
  EXPECT_EQ(second.Ask("/", "POST", "", "2").body, "2");
}

TEST_F(Routes, ARequestWaitsInTheQueueForAPlace) {
  Serve(R"([{"path": "/", "native": "echo", "limits": {"concurrency": 1, "queue": 1},
             "timeouts": {"queue": "10s"}}])");
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
  Client first(server_->port());
  Client second(server_->port());
  ASSERT_TRUE(first.Send(head) && second.Send(head + "2") && first.Send("1"));
  EXPECT_EQ(first.ReadAnswer().body, "1");
  EXPECT_EQ(second.ReadAnswer().body, "2");
}

TEST_F(Routes, AMissingHandlerKeepsTheServerFromStarting) {
  const std::string config = folder_.Write(
      "cogi.json",
      R"({"listen": ["http:127.0.0.1:0"], "routes": [{"path": "/", "native": "helo"}]})");
  std::string output;
  EXPECT_EQ(RunCogi({"serve", "--allow-root", config}, &output), 1);
  EXPECT_NE(output.find("no native handler \"helo\""), std::string::npos) << output;
  EXPECT_NE(output.find("hello"), std::string::npos) << output;
}

}  // namespace
}  // namespace cogi::server
