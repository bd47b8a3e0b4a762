// "total": how long a request may take in all, whatever its parts are allowed.
#include <unistd.h>

#include <filesystem>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class Total : public ServerTest {
 protected:
  // A handler that waits for as long as it may, with one place and a queue.
  void Serve() {
    folder_.Write("www/index.html", "front");
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
      "timeouts": {"total": "2s", "handler": "1500ms", "queue": "20s", "send": "20s"},
      "routes": [{"path": "/sleep", "native": {"module": ")" TEST_HANDLERS
          R"(", "handler": "sleep"},
                  "limits": {"concurrency": 1}},
                 {"path": "/status", "native": "status"}, {"path": "/", "static": "www"}]})");
  }
  [[nodiscard]] bool Counted(const std::string& counter) const {
    return Has(Get("/status").body, counter);
  }
  static constexpr const char* kSleep = "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n";
};

TEST_F(Total, RequestsThatWaitInAQueueAndThenWorkAreAnswered504) {
  Serve();
  // With the handler's deadline alone the last of them would wait for 4.5 s.
  std::vector<std::unique_ptr<Client>> clients;
  for (int count = 0; count < 3; ++count) {
    clients.push_back(std::make_unique<Client>(port()));
    ASSERT_TRUE(clients.back()->Send(kSleep));
  }
  for (const auto& client : clients) EXPECT_EQ(client->ReadAnswer().status, 504);
  EXPECT_TRUE(server_->WaitOutput("/sleep: given up, it took longer than \"total\" allows"))
      << server_->output();
  EXPECT_TRUE(Counted("\"deadlines\": 3")) << Get("/status").body;
  EXPECT_TRUE(Counted("\"waiting\": 0"));
  // The place is free again, and nothing of the cancel is left on the connections.
  EXPECT_EQ(clients.back()->Ask("/status").status, 200);
}

// A file that the client takes slowly, but never so slowly that the send timeout ends it.
TEST_F(Total, AnAnswerThatHasBegunIsCut) {
  Serve();
  std::filesystem::resize_file(folder_.Write("www/large", ""), 1 << 30);
  Client client(port());
  ASSERT_TRUE(client.Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
  size_t taken = 0;
  bool cut = false;
  while (!cut && taken < 200) {
    cut = client.Take(1024) == 0;
    ++taken;
    usleep(50'000);
  }
  EXPECT_TRUE(cut);
  EXPECT_TRUE(WaitUntil([&] { return Counted("\"deadlines\": 1"); })) << Get("/status").body;
}

// What a handler throws need not be a std::exception: its deadline ends with it all the same.
TEST_F(Total, TheDeadlineOfAHandlerThatThrewEndsNothingLater) {
  Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
    "routes": [{"path": "/throw", "native": {"module": ")" TEST_HANDLERS
        R"(", "handler": "throw"}, "timeouts": {"handler": "300ms"}},
               {"path": "/sleep", "native": {"module": ")" TEST_HANDLERS
        R"(", "handler": "sleep"}, "timeouts": {"handler": "1500ms"}}]})");
  Client client(port());
  EXPECT_EQ(client.Ask("/throw").status, 500);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(client.Ask("/sleep").status, 504);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1400));
}

}  // namespace
}  // namespace cogi::server
