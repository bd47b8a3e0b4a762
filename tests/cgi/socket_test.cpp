// The front ends over real socket pairs, each end in its own thread: time limits, half-closed and
// vanished peers, large bodies both ways, and descriptors left open.
#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <thread>

#include "cgi/fastcgi_connection.h"
#include "cgi/http_connection.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"

namespace cogi::cgi {
namespace {

using std::chrono::milliseconds;

int OpenDescriptors() {
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

class SocketPair : public testing::Test {
 protected:
  void SetUp() override {
    before_ = OpenDescriptors();
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    client_ = ends[0];
    server_ = ends[1];
  }
  void TearDown() override {
    CloseClient();
    if (thread_.joinable()) thread_.join();
    EXPECT_EQ(OpenDescriptors(), before_);
  }

  template <typename Connection>
  void Start(FunctionHandler::Function serve) {
    thread_ = std::thread([this, serve = std::move(serve)] {
      FdStream stream(server_);
      FunctionHandler handler(serve);
      Connection(stream, limits_, info_, events_).Serve(handler);
      close(server_);
    });
  }
  void StartHttp(FunctionHandler::Function serve) { Start<HttpConnection>(std::move(serve)); }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Everything up to the end of the connection.
  std::string ReceiveAll() {
    std::string all;
    char buffer[64 * 1024];
    for (;;) {
      pollfd entry{client_, POLLIN, 0};
      if (poll(&entry, 1, 30'000) <= 0) return all + "[no end]";
      ssize_t got = recv(client_, buffer, sizeof buffer, 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<size_t>(got));
    }
  }
  void CloseWrite() { shutdown(client_, SHUT_WR); }
  void CloseClient() {
    if (client_ >= 0) close(client_);
    client_ = -1;
  }
  void Join() { thread_.join(); }

  Limits limits_;
  ConnectionInfo info_;
  RecordingEvents events_;
  int client_ = -1;

 private:
  int server_ = -1;
  int before_ = 0;
  std::thread thread_;
};

void Hello(Request&, Response& response) { response.Write("hello"); }

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr const char* kLastGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_F(SocketPair, ASlowHeaderIsAnswered408EvenIfBytesKeepComing) {
  limits_.header_time = milliseconds(100);
  limits_.linger_time = milliseconds(10);
  StartHttp(Hello);
  std::string slow = "GET / HTTP/1.1\r\nX: " + std::string(1000, 'x');
  for (char c : slow) {
    Send({&c, 1});
    std::this_thread::sleep_for(milliseconds(1));
    pollfd entry{client_, POLLIN, 0};
    if (poll(&entry, 1, 0) > 0) break;
  }
  EXPECT_TRUE(ReceiveAll().starts_with("HTTP/1.1 408 "));
  Join();
  EXPECT_EQ(events_.codes, std::vector<std::string>{"header_timeout"});
}

TEST_F(SocketPair, AnIdleConnectionIsClosedSilently) {
  limits_.keep_alive = milliseconds(50);
  StartHttp(Hello);
  Send(kGet);
  std::string answer = ReceiveAll();
  EXPECT_TRUE(answer.ends_with("hello"));
  Join();
  EXPECT_TRUE(events_.codes.empty());
}

TEST_F(SocketPair, AConnectionThatNeverSpeaksIsClosedSilently) {
  limits_.header_time = milliseconds(50);
  StartHttp(Hello);
  EXPECT_EQ(ReceiveAll(), "");
}

TEST_F(SocketPair, ABodyThatStopsIsAnswered408) {
  limits_.body_idle = milliseconds(50);
  limits_.linger_time = milliseconds(10);
  int error = 0;
  StartHttp([&](Request& request, Response&) { ReadAll(request, error); });
  Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(ReceiveAll().starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(error, ETIMEDOUT);
}

TEST_F(SocketPair, ABodyThatTricklesIsAnswered408) {
  limits_.body_idle = milliseconds(100);
  limits_.body_min_rate = 1'000'000;
  limits_.linger_time = milliseconds(10);
  int error = 0;
  StartHttp([&](Request& request, Response&) { ReadAll(request, error); });
  Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
  for (int i = 0; i < 2000; ++i) {
    Send("x");
    std::this_thread::sleep_for(milliseconds(1));
    pollfd entry{client_, POLLIN, 0};
    if (poll(&entry, 1, 0) > 0) break;
  }
  EXPECT_TRUE(ReceiveAll().starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(error, ETIMEDOUT);
}

TEST_F(SocketPair, ASlowHandlerDoesNotMakeItsClientLookSlow) {
  limits_.body_idle = milliseconds(100);
  limits_.body_min_rate = 100'000'000;
  std::string body;
  StartHttp([&](Request& request, Response&) {
    std::this_thread::sleep_for(milliseconds(300));
    int error = 0;
    body = ReadAll(request, error);
    EXPECT_EQ(error, 0);
  });
  Send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n" +
       std::string(50000, 'x'));
  EXPECT_TRUE(ReceiveAll().starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(body.size(), 50000U);
}

TEST_F(SocketPair, AClientThatDoesNotReadIsGivenUp) {
  limits_.send_idle = milliseconds(50);
  bool failed = false;
  int error = 0;
  StartHttp([&](Request&, Response& response) {
    std::string piece(100'000, 'x');
    for (int i = 0; i < 1000 && !failed; ++i) {
      failed = !response.Write(piece);
      error = errno;
    }
  });
  Send(kGet);
  Join();
  EXPECT_TRUE(failed);
  EXPECT_EQ(error, ETIMEDOUT);
  EXPECT_EQ(events_.codes, std::vector<std::string>{"send_timeout"});
}

TEST_F(SocketPair, AClientThatVanishesMakesTheHandlersWriteFail) {
  bool failed = false;
  StartHttp([&](Request&, Response& response) {
    std::string piece(100'000, 'x');
    for (int i = 0; i < 1000 && !failed; ++i) failed = !response.Write(piece);
  });
  Send(kGet);
  char byte;
  ASSERT_EQ(recv(client_, &byte, 1, 0), 1);
  CloseClient();
  Join();
  EXPECT_TRUE(failed);
  EXPECT_EQ(events_.finished, 1);
}

TEST_F(SocketPair, AHalfClosedClientIsStillAnswered) {
  StartHttp(Hello);
  Send(kGet);
  shutdown(client_, SHUT_WR);
  EXPECT_TRUE(ReceiveAll().ends_with("hello"));
}

TEST_F(SocketPair, TenMegabytesAreEchoedUnchanged) {
  StartHttp([](Request& request, Response& response) {
    char buffer[30'000];
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) > 0;) {
      response.Write({buffer, static_cast<size_t>(got)});
    }
  });
  std::string body(10'000'000, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 13);
  std::thread sender([&] {
    Send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10000000\r\n\r\n");
    Send(body);
  });
  std::string answer = ReceiveAll();
  sender.join();
  std::string echoed;
  for (size_t at = answer.find("\r\n\r\n") + 4; at < answer.size();) {
    size_t size = std::stoul(answer.substr(at, 16), nullptr, 16);
    at = answer.find("\r\n", at) + 2;
    echoed.append(answer, at, size);
    at += size + 2;
  }
  EXPECT_TRUE(echoed == body);
}

TEST_F(SocketPair, AFileIsSentWhole) {
  FILE* file = tmpfile();
  std::string content(3'000'000, 'f');
  ASSERT_EQ(fwrite(content.data(), 1, content.size(), file), content.size());
  fflush(file);
  StartHttp([&](Request&, Response& response) {
    response.SetHeader("Content-Length", "3000000");
    EXPECT_TRUE(response.SendFile(fileno(file), 0, 3'000'000));
  });
  Send(kLastGet);
  EXPECT_TRUE(ReceiveAll().ends_with("\r\n\r\n" + content));
  Join();
  fclose(file);
}

TEST_F(SocketPair, AFileThatShrankEndsTheConnection) {
  FILE* file = tmpfile();
  fputs("short", file);
  fflush(file);
  StartHttp([&](Request&, Response& response) {
    response.SetHeader("Content-Length", "5000");
    EXPECT_FALSE(response.SendFile(fileno(file), 0, 5000));
    EXPECT_EQ(errno, EIO);
  });
  Send(kGet);
  EXPECT_TRUE(ReceiveAll().ends_with("short"));
  Join();
  fclose(file);
}

TEST_F(SocketPair, AnErrorAnswerReachesAClientThatIsStillSending) {
  StartHttp(Hello);
  std::string answer;
  std::thread reader([&] { answer = ReceiveAll(); });
  Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" +
       std::string(200'000, 'x'));
  CloseWrite();
  reader.join();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
}

TEST_F(SocketPair, AClientThatNeverClosesIsLeftAfterTheLingerTime) {
  limits_.linger_time = milliseconds(50);
  StartHttp(Hello);
  Send("BAD\r\n\r\n");
  Join();
  EXPECT_TRUE(ReceiveAll().starts_with("HTTP/1.1 400 "));
}

TEST_F(SocketPair, FastCgiServesRequestAfterRequestAndEchoesALargeBody) {
  Start<FastCgiConnection>([](Request& request, Response& response) {
    char buffer[30'000];
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) > 0;) {
      response.Write({buffer, static_cast<size_t>(got)});
    }
  });
  std::string body(5'000'000, 'b');
  std::thread sender([&] {
    for (uint16_t i = 1; i <= 100; ++i) Send(fcgi::GetRequest(i, true));
    Send(fcgi::PostRequest(200, false, body));
  });
  fcgi::Answers answers = fcgi::Parse(ReceiveAll());
  sender.join();
  EXPECT_EQ(answers.error, "");
  ASSERT_EQ(answers.requests.size(), 101U);
  for (const auto& [id, answer] : answers.requests) EXPECT_EQ(answer.ends, 1) << id;
  EXPECT_TRUE(answers.requests.at(200).out.ends_with("\r\n\r\n" + body));
}

TEST_F(SocketPair, FastCgiParametersThatDoNotComeEndTheConnection) {
  limits_.header_time = milliseconds(50);
  Start<FastCgiConnection>(Hello);
  Send(fcgi::Begin(1, true));
  fcgi::Answers answers = fcgi::Parse(ReceiveAll());
  EXPECT_EQ(answers.requests.at(1).ends, 1);
  Join();
  EXPECT_EQ(events_.codes, std::vector<std::string>{"fcgi_params_timeout"});
}

TEST_F(SocketPair, FastCgiAnswersBeforeTheBodyIsRead) {
  Start<FastCgiConnection>(Hello);
  Send(fcgi::Begin(1, false) + fcgi::ParamRecords(1, fcgi::PostParams(3'000'000)));
  std::thread sender([&] { Send(fcgi::StdinRecords(1, std::string(3'000'000, 'x'))); });
  fcgi::Answers answers = fcgi::Parse(ReceiveAll());
  sender.join();
  EXPECT_TRUE(answers.requests.at(1).out.ends_with("hello"));
}

}  // namespace
}  // namespace cogi::cgi
