// Who the client is, by the word of proxies in front: only trusted ones are believed.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class Proxied : public ServerTest {
 protected:
  void Serve(const std::string& listener) {
    Start(R"({"listen": [{"address": "http:127.0.0.1:0", )" + listener +
          R"(}], "workers": 1, "timeouts": {"header": "500ms"},
            "log": {"access": "access.log"},
            "routes": [{"path": "/", "native": {"module": ")" TEST_HANDLERS
          R"(", "handler": "variables"}}]})");
  }
  // The value that a program would see, or "-".
  static std::string Variable(const Answer& answer, const std::string& name) {
    const std::string body = "\n" + answer.body;
    const size_t at = body.find("\n" + name + "=");
    if (at == std::string::npos) return "-";
    const size_t begin = at + name.size() + 2;
    return body.substr(begin, body.find('\n', begin) - begin);
  }
};

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// One connection on which `header` comes before a request.
Answer AskBehind(int port, const std::string& header) {
  Client client(port);
  return client.Send(header + kGet) ? client.ReadAnswer() : Answer();
}

std::string Version2(const std::string& rest) {
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + rest;
}

TEST_F(Proxied, TheProxyHeaderNamesTheClient) {
  Serve(R"("trusted": ["127.0.0.0/8"], "proxy_protocol": true)");
  const std::string v2 =
      Version2(std::string("\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\0\x63\x01\xbb", 16));
  for (const std::string& header : {std::string("PROXY TCP4 192.0.2.7 10.0.0.1 99 443\r\n"), v2}) {
    const Answer answer = AskBehind(server_->port(), header);
    EXPECT_EQ(Variable(answer, "REMOTE_ADDR"), "192.0.2.7");
    EXPECT_EQ(Variable(answer, "REMOTE_PORT"), "99");
    EXPECT_EQ(Variable(answer, "SERVER_PORT"), "443");
  }
  // The balancer's own connections: the addresses of the socket hold.
  for (const std::string& header :
       {std::string("PROXY UNKNOWN\r\n"), Version2(std::string("\x20\0\0\0", 4))})
    EXPECT_EQ(Variable(AskBehind(server_->port(), header), "REMOTE_ADDR"), "127.0.0.1");
  EXPECT_TRUE(WaitUntil(
      [&] { return ReadFile(folder_ / "access.log").find("192.0.2.7 - ") != std::string::npos; }));
}

TEST_F(Proxied, TheProxyHeaderMayComeInPieces) {
  Serve(R"("trusted": ["127.0.0.1"], "proxy_protocol": true)");
  const std::string header = "PROXY TCP6 2001:db8::7 2001:db8::1 99 443\r\n";
  for (size_t split = 1; split < header.size(); ++split) {
    Client client(server_->port());
    ASSERT_TRUE(client.Send(header.substr(0, split)));
    ASSERT_TRUE(client.Send(header.substr(split) + kGet));
    EXPECT_EQ(Variable(client.ReadAnswer(), "REMOTE_ADDR"), "2001:db8::7") << split;
  }
}

TEST_F(Proxied, AConnectionWithoutItsHeaderIsRefused) {
  Serve(R"("trusted": ["127.0.0.1"], "proxy_protocol": true)");
  EXPECT_EQ(AskBehind(server_->port(), "").status, 0);
  EXPECT_EQ(AskBehind(server_->port(), "PROXY TCP4 nonsense\r\n").status, 0);
  EXPECT_EQ(AskBehind(server_->port(), Version2(std::string("\x21\x11\xff\xff", 4))).status, 0);
  Client half(server_->port());
  ASSERT_TRUE(half.Send("PROXY TCP4 192.0"));
  EXPECT_TRUE(half.AtEnd());
  EXPECT_TRUE(server_->WaitOutput("proxy_header: the connection does not begin"));
  EXPECT_TRUE(server_->WaitOutput("proxy_header: "));
}

TEST_F(Proxied, AHeaderOfSomebodyElseIsRefused) {
  Serve(R"("trusted": ["192.0.2.0/24"], "proxy_protocol": true)");
  EXPECT_EQ(AskBehind(server_->port(), "PROXY TCP4 192.0.2.7 10.0.0.1 99 443\r\n").status, 0);
  EXPECT_TRUE(server_->WaitOutput("not one of the trusted proxies"));
}

TEST_F(Proxied, ForwardedFieldsOfATrustedProxyNameTheClient) {
  Serve(R"("trusted": ["127.0.0.1"])");
  const Answer answer = Ask(server_->port(), "/", "GET",
                            "X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\nX-Forwarded-Proto: "
                            "https\r\nForwarded: for=203.0.113.1\r\n");
  EXPECT_EQ(Variable(answer, "REMOTE_ADDR"), "192.0.2.7");
  EXPECT_EQ(Variable(answer, "HTTPS"), "on");
  EXPECT_TRUE(WaitUntil(
      [&] { return ReadFile(folder_ / "access.log").find("192.0.2.7 - ") != std::string::npos; }));
}

TEST_F(Proxied, ForwardedOfRfc7239IsReadWhereItIsNamed) {
  Serve(R"("trusted": ["127.0.0.1"], "forwarded": "forwarded")");
  const Answer answer =
      Ask(server_->port(), "/", "GET",
          "Forwarded: for=\"[2001:db8::7]:99\"\r\nX-Forwarded-For: 203.0.113.1\r\n");
  EXPECT_EQ(Variable(answer, "REMOTE_ADDR"), "2001:db8::7");
}

TEST_F(Proxied, ForwardedFieldsOfSomebodyElseAreOnlyText) {
  Serve(R"("trusted": ["192.0.2.0/24"])");
  const Answer answer = Ask(server_->port(), "/", "GET", "X-Forwarded-For: 192.0.2.7\r\n");
  EXPECT_EQ(Variable(answer, "REMOTE_ADDR"), "127.0.0.1");
  EXPECT_EQ(Variable(answer, "HTTP_X_FORWARDED_FOR"), "192.0.2.7");
}

// The PROXY header's client is not a proxy itself, so what it says is not believed.
TEST_F(Proxied, BothTogetherEndAtTheFirstWhoIsNotTrusted) {
  Serve(R"("trusted": ["127.0.0.1", "10.0.0.0/8"], "proxy_protocol": true)");
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n";
  Client client(server_->port());
  ASSERT_TRUE(client.Send("PROXY TCP4 192.0.2.7 10.0.0.1 99 443\r\n" + request));
  EXPECT_EQ(Variable(client.ReadAnswer(), "REMOTE_ADDR"), "192.0.2.7");
  Client chained(server_->port());
  ASSERT_TRUE(chained.Send("PROXY TCP4 10.0.0.9 10.0.0.1 99 443\r\n" + request));
  EXPECT_EQ(Variable(chained.ReadAnswer(), "REMOTE_ADDR"), "203.0.113.1");
}

}  // namespace
}  // namespace cogi::server
