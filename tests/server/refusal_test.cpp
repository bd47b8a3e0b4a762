// Each refusal has a status (or a closed connection), a counter that grows, and a line in the error
// log.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

struct Case {
  const char* name;
  std::string request;
  int status;
  const char* counter;
  const char* line;  // of the error log
};

std::string RequestFor(const std::string& path, const std::string& fields = "",
                       const std::string& method = "GET") {
  return method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::vector<Case> Cases() {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  return {
      {"NoHost", "GET / HTTP/1.1\r\n\r\n", 400, "refused", " (400)"},
      {"Garbage", "garbage\r\n\r\n", 400, "refused", " (400)"},
      {"PathAboveTheRoot", RequestFor("/../x"), 400, "refused", " (400)"},
      {"TwoFramings", RequestFor("/", chunked + "Content-Length: 1\r\n", "POST"), 400, "refused",
       " (400)"},
      {"LongLine", RequestFor("/" + std::string(9000, 'a')), 414, "refused", " (414)"},
      {"LongHeader", RequestFor("/", "X: " + std::string(40'000, 'a') + "\r\n"), 431, "refused",
       " (431)"},
      {"UnknownMethod", RequestFor("/", "", "BREW"), 501, "refused", " (501)"},
      {"OtherVersion", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "refused", " (505)"},
      {"OtherExpectation", RequestFor("/", "Expect: tea\r\n"), 417, "refused", " (417)"},
      {"HugeBody", RequestFor("/echo", "Content-Length: 99999999999\r\n", "POST"), 413, "refused",
       " (413)"},
      {"BodyOverTheRoutesLimit", RequestFor("/small", "Content-Length: 11\r\n", "POST"), 413,
       "client_errors", "413: request "},
      {"ChunksOverTheRoutesLimit",
       RequestFor("/small", chunked, "POST") + "b\r\n0123456789a\r\n0\r\n\r\n", 413, "refused",
       " (413) in request "},
      {"BadChunk", RequestFor("/echo", chunked, "POST") + "zz\r\n", 400, "refused",
       " (400) in request "},
      {"SlowHeader", "GET / HT", 408, "refused", " (408)"},
      {"SlowBody", RequestFor("/echo", "Content-Length: 5\r\n", "POST") + "1", 408, "refused",
       " (408) in request "},
      {"WrongPassword", RequestFor("/own", "Authorization: Basic YWRhOndyb25n\r\n"), 401,
       "client_errors", "401: request "},
      {"NoPassword", RequestFor("/own", "Authorization: Basic YWRh\r\n"), 401, "client_errors",
       "is no name and password"},
      {"OtherScheme", RequestFor("/own", "Authorization: Bearer abc\r\n"), 401, "client_errors",
       "is no name and password"},
      {"DirectoryWithoutIndex", RequestFor("/sub/"), 403, "client_errors",
       "a directory without an index"},
      {"Fifo", RequestFor("/fifo"), 403, "client_errors", "no regular file"},
      {"RewrittenOut", RequestFor("/out"), 500, "server_errors", "is no path"},
      {"LeadsOut", RequestFor("/leak"), 403, "client_errors", "cannot open "},
      {"NoXBit", RequestFor("/cgi-bin/script.cgi"), 403, "client_errors", "403: "},
      {"RedirectsForEver", RequestFor("/loop"), 500, "server_errors", "is one too many"},
      {"Throws", RequestFor("/throw"), 500, "exceptions", "an exception"},
      {"NoPlace", RequestFor("/full"), 503, "overloaded", "503: all 1 places"},
      {"Late", RequestFor("/late"), 504, "deadlines", "not answered within"},
      {"NobodyThere", RequestFor("/gone"), 502, "server_errors", " (502)"},
  };
}

class Counting : public ServerTest {
 protected:
  [[nodiscard]] long CounterOf(const std::string& name) const {
    const std::string body = Get("/status").body;
    const size_t at = body.find("\"" + name + "\": ");
    return at == std::string::npos ? -1 : std::stol(body.substr(at + name.size() + 4));
  }
};

class Refused : public Counting, public testing::WithParamInterface<Case> {
 protected:
  void Serve() {
    folder_.Write("www/index.html", "x");
    folder_.Write("www/cgi-bin/script.cgi", "#!/bin/sh\n");
    folder_.Write("users", "ada:" + OutputOf("openssl passwd -5 secret"));
    folder_.Write("www/sub/page.html", "x");
    std::filesystem::create_symlink("/etc/passwd", folder_ / "www/leak");
    ASSERT_EQ(mkfifo((folder_ / "www/fifo").c_str(), 0666), 0);
    const std::string handlers = R"({"module": ")" TEST_HANDLERS R"(", "handler": )";
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
        "timeouts": {"header": "300ms", "body": "300ms", "connect": "1s"},
        "routes": [{"path": "/", "site": "www"}, {"path": "/echo", "native": "echo"},
          {"path": "/status", "native": "status"},
          {"path": "/small", "native": "echo", "limits": {"body": 10}},
          {"path": "/own", "native": "hello", "auth": {"users": "users"}},
          {"path": "/loop", "rewrite": "/loop"},
          {"path": "/out", "rewrite": "/../out"},
          {"path": "/gone", "fastcgi": "unix:nobody.sock"},
          {"path": "/full", "native": )" +
          handlers + R"("sleep"}, "limits": {"concurrency": 1, "queue": 0}},
          {"path": "/late", "native": )" +
          handlers + R"("sleep"}, "timeouts": {"handler": "300ms"}},
          {"path": "/throw", "native": )" +
          handlers + R"("throw"}}]})");
  }
};

TEST_P(Refused, HasAStatusACounterAndALine) {
  const Case& test = GetParam();
  Serve();
  Client holder(port());  // of the only place
  if (test.status == 503) {
    ASSERT_TRUE(holder.Send(test.request));
    ASSERT_TRUE(WaitUntil([&] { return CounterOf("running") == 2; }));
  }
  const long before = CounterOf(test.counter);
  ASSERT_GE(before, 0);
  Client client(port());
  ASSERT_TRUE(client.Send(test.request));
  EXPECT_EQ(client.ReadAnswer().status, test.status);
  EXPECT_TRUE(WaitUntil([&] { return CounterOf(test.counter) == before + 1; }))
      << Get("/status").body;
  EXPECT_TRUE(server_->WaitOutput(test.line)) << server_->output();
  holder.Reset();
}

INSTANTIATE_TEST_SUITE_P(Cases, Refused, testing::ValuesIn(Cases()),
                         [](const auto& each) { return std::string(each.param.name); });

// Each check costs the helper threads milliseconds; beyond 64 at once nobody's is begun. (On shared
// stacks it takes thousands of clients: who waits for a check pins his.)
TEST_F(Counting, PasswordsBeyondThoseThatAreCheckedAreRefused) {
  folder_.Write("users", "ada:$5$rounds=200000$salt$0123456789012345678901234567890123456789012");
  Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
      "coroutine": {"stack": "private"},
      "routes": [{"path": "/", "native": "hello", "auth": {"users": "users"}},
        {"path": "/status", "native": "status"}]})");
  std::vector<std::unique_ptr<Client>> clients;
  const std::string request = RequestFor("/", "Authorization: Basic YWRhOndyb25n\r\n");
  for (int count = 0; count < 70; ++count) clients.push_back(std::make_unique<Client>(port()));
  ASSERT_TRUE(WaitUntil([&] { return CounterOf("connections") >= 70; }));
  for (const auto& client : clients) ASSERT_TRUE(client->Send(request));
  int refused = 0;
  for (const auto& client : clients) {
    const int status = client->ReadAnswer().status;
    EXPECT_TRUE(status == 401 || status == 503) << status;
    if (status == 503) ++refused;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(CounterOf("overloaded"), refused);
  EXPECT_EQ(CounterOf("client_errors"), 70 - refused);
  EXPECT_TRUE(server_->WaitOutput(": 64 passwords are being checked already"));
}

// The worker may open one descriptor more: that of the directory, and none to read it by.
TEST_F(Counting, ADirectoryThatCannotBeListedIsRefused) {
  folder_.Write("www/page.html", "x");
  Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
      "routes": [{"path": "/", "static": "www", "index": "", "listing": true},
        {"path": "/status", "native": "status"}]})");
  Client client(port());
  ASSERT_EQ(client.Ask("/").status, 200);
  const pid_t worker = server_->workers().at(0);
  const std::filesystem::path open = "/proc/" + std::to_string(worker) + "/fd";
  rlim_t next = 0;
  while (std::filesystem::is_symlink(std::filesystem::symlink_status(open / std::to_string(next))))
    ++next;
  rlimit before{};
  ASSERT_EQ(prlimit(worker, RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit few{next + 1, before.rlim_max};
  ASSERT_EQ(prlimit(worker, RLIMIT_NOFILE, &few, nullptr), 0);
  EXPECT_EQ(client.Ask("/").status, 503);
  ASSERT_EQ(prlimit(worker, RLIMIT_NOFILE, &before, nullptr), 0);
  EXPECT_EQ(CounterOf("server_errors"), 1);
  EXPECT_TRUE(server_->WaitOutput("the directory cannot be listed: Too many open files"));
  EXPECT_EQ(client.Ask("/").status, 200);
}

TEST_F(ServerTest, AConnectionThatIsRefusedIsCountedAndSaid) {
  Start(R"({"listen": [{"address": "http:127.0.0.1:0", "allow": ["192.0.2.0/24"]}], "workers": 1,
            "status": "http:127.0.0.1:0",
            "log": {"access": "off"}, "routes": [{"path": "/", "native": "hello"}]})",
        2);
  EXPECT_TRUE(Client(port()).AtEnd());
  EXPECT_TRUE(server_->WaitOutput("not allowed on http:127.0.0.1:")) << server_->output();
  EXPECT_TRUE(Has(Ask(server_->port(1), "/metrics").body,
                  "cogi_refused_total{pool=\"main\",worker=\"0\"} 1\n"));
}

}  // namespace
}  // namespace cogi::server
