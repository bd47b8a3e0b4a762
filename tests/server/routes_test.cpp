// A configuration's routes, and the limits that hold before a handler runs.
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class Routes : public ServerTest {
 protected:
  void Serve(const std::string& routes, const std::string& more = "") {
    folder_.Write("files/x.txt", "file x");
    folder_.Write("www/index.html", "front");
    Start("{\"listen\": [\"http:127.0.0.1:0\"], \"workers\": 1, " + more +
          "\"log\": {\"access\": \"off\"}, \"routes\": " + routes + "}");
  }
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

// One route is impatient; the pool is not.
TEST_F(Routes, HaveTheirOwnTimesForBodyAndAnswer) {
  folder_.Write("files/large", std::string(16 << 20, 'x'));
  Serve(R"([{"path": "/stands", "native": "echo", "timeouts": {"body": "200ms"}},
            {"path": "/trickles", "native": "echo", "timeouts": {"body": "300ms"},
             "limits": {"body_rate": "1m"}},
            {"path": "/rewritten", "rewrite": "/stands"},
            {"path": "/unread", "static": "files", "timeouts": {"send": "200ms"}},
            {"path": "/patient", "native": "echo"}, {"path": "/", "static": "files"}])");
  const auto begin = [](const Client& client, const std::string& path) {
    return client.Send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n") &&
           client.Send("x");
  };
  Client patient(port());
  Client reader(port());
  Client stands(port());
  Client rewritten(port());
  Client trickles(port());
  Client unread(port());
  ASSERT_TRUE(begin(patient, "/patient") && begin(stands, "/stands") &&
              begin(rewritten, "/rewritten") && begin(trickles, "/trickles"));
  ASSERT_TRUE(reader.Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(unread.Send("GET /unread/large HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(stands.ReadAnswer().status, 408);
  EXPECT_EQ(rewritten.ReadAnswer().status, 408);
  // A byte every 50 ms never stands still for as long as 300.
  pollfd answered{trickles.fd(), POLLIN, 0};
  for (int count = 0; count < 200 && poll(&answered, 1, 50) == 0; ++count) trickles.Send("x");
  EXPECT_EQ(trickles.ReadAnswer().status, 408);
  EXPECT_TRUE(server_->WaitOutput("the client took nothing of its answer in time"))
      << server_->output();
  // The same on a route that waits as the pool says.
  ASSERT_TRUE(patient.Send(std::string(999, 'x')));
  EXPECT_EQ(patient.ReadAnswer().body, std::string(1000, 'x'));
  EXPECT_EQ(reader.ReadAnswer().body.size(), size_t{16} << 20);
  // What the route said ends with its request.
  ASSERT_TRUE(begin(patient, "/patient"));
  EXPECT_EQ(poll(&answered, 0, 400), 0);
  ASSERT_TRUE(patient.Send(std::string(999, 'x')));
  EXPECT_EQ(patient.ReadAnswer().status, 200);
}

TEST_F(Routes, TheFolderOfWellKnownAddressesIsServedAndNoOtherHiddenOne) {
  folder_.Write("files/.well-known/acme-challenge/token", "key");
  folder_.Write("files/.git/config", "secret");
  Serve(R"([{"path": "/", "static": "files"}, {"path": "/site", "site": "files"}])");
  EXPECT_EQ(Get("/.well-known/acme-challenge/token").body, "key");
  EXPECT_EQ(Get("/site/.well-known/acme-challenge/token").body, "key");
  EXPECT_EQ(Get("/.git/config").status, 404);
  EXPECT_EQ(Get("/.well-known/../.git/config").status, 404);
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
