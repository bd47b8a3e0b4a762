// https listeners, asked by the openssl command line client.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>

#include "config/load.h"
#include "server/listener.h"
#include "tests/server/client.h"
#include "tests/server/server_process.h"

namespace cogi::server {
namespace {

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    OutputOf("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout " +
             (folder_ / "key.pem") + " -out " + (folder_ / "cert.pem"));
    std::string big(300000, 'x');
    big += "end of file";
    folder_.Write("www/big.txt", big);
    folder_.Write("www/index.html", "secret page");
    {
      // A free port: the configuration of an https listener names it in its object form.
      const auto probe = Listener::Bind(config::ParseListener("http:127.0.0.1:0"));
      address_ = probe->shown().substr(5);
    }
    folder_.Write("cogi.json", R"({"workers": 2, "log": {"access": "off"},
      "timeouts": {"tls_handshake": "300ms"},
      "listen": [{"address": "https:)" +
                                   address_ +
                                   R"(", "tls": {"certificate": "cert.pem", "key": "key.pem"}}],
      "routes": [{"path": "/", "static": "www"}]})");
  }

  void Serve() {
    server_ = std::make_unique<ServerProcess>(
        std::vector<std::string>{"serve", "--allow-root", folder_ / "cogi.json"});
    ASSERT_TRUE(server_->WaitServing(2)) << server_->output();
  }
  std::string Get(const std::string& path, const std::string& options) const {
    return OutputOf("sh -c \"printf 'GET " + path +
                    " HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' | openssl "
                    "s_client -ign_eof -connect " +
                    address_ + " " + options + "\"");
  }
  [[nodiscard]] int port() const { return std::atoi(address_.c_str() + address_.find(':') + 1); }

  Scratch folder_;
  std::string address_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(Tls, ServesTls12And13AndFilesWhole) {
  Serve();
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    const std::string text = Get("/", version);
    EXPECT_NE(text.find("200 OK"), std::string::npos) << text;
    EXPECT_NE(text.find("secret page"), std::string::npos) << text;
  }
  const std::string big = Get("/big.txt", "-quiet");
  EXPECT_GT(big.size(), 300000u);
  EXPECT_NE(big.find("xend of file"), std::string::npos);
  const std::string old = Get("/", "-tls1_1");
  EXPECT_EQ(old.find("secret page"), std::string::npos) << old;
  EXPECT_NE(Get("/", "-alpn h2,http/1.1").find("ALPN protocol: http/1.1"), std::string::npos);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, ASessionIsResumedByAnyWorker) {
  Serve();
  const std::string session = folder_ / "session";
  Get("/", "-tls1_2 -sess_out " + session);
  for (int time = 0; time < 6; ++time)
    EXPECT_NE(Get("/", "-tls1_2 -sess_in " + session).find("Reused, TLSv1.2"), std::string::npos);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, APlainRequestAndASilentClientEndTheirOwnConnection) {
  Serve();
  Client plain(port());
  ASSERT_TRUE(plain.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const Answer answer = plain.ReadAnswer();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, "This port speaks HTTPS only.\n");
  Client silent(port());
  EXPECT_TRUE(silent.AtEnd());
  EXPECT_TRUE(server_->WaitOutput("tls_handshake: ")) << server_->output();
  EXPECT_NE(Get("/", "").find("secret page"), std::string::npos);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, AClientCannotRenegotiate) {
  Serve();
  const std::string text =
      OutputOf("sh -c \"(echo R; sleep 1) | openssl s_client -tls1_2 -connect " + address_ + "\"");
  EXPECT_NE(text.find("no renegotiation"), std::string::npos) << text;
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

// RFC 8470: what comes before the handshake is complete may be a replay.
TEST_F(Tls, EarlyDataIsNotTaken) {
  Serve();
  const std::string session = folder_ / "session";
  const std::string early = folder_.Write("early", "GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(Get("/", "-tls1_3 -sess_out " + session).find("Max Early Data: 0"), std::string::npos);
  const std::string text = Get("/", "-tls1_3 -sess_in " + session + " -early_data " + early);
  EXPECT_EQ(text.find("Early data was accepted"), std::string::npos) << text;
  EXPECT_EQ(text.find("404 Not Found"), std::string::npos) << text;
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

// ALPACA: whoever came for another protocol is not served this one.
TEST_F(Tls, AClientOfAnotherProtocolIsTurnedAway) {
  Serve();
  const std::string text = Get("/", "-alpn ftp");
  EXPECT_NE(text.find("no application protocol"), std::string::npos) << text;
  EXPECT_EQ(text.find("secret page"), std::string::npos) << text;
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

// One client's failures stay in its own connection, whatever they leave in OpenSSL's queue.
TEST_F(Tls, FailedHandshakesDoNotDisturbOthers) {
  Serve();
  for (int time = 0; time < 20; ++time) {
    Client garbage(port());
    ASSERT_TRUE(garbage.Send(std::string("\x16\x03\x01\x00\x05hello", 10)));
    if (time % 5 == 0) {
      EXPECT_NE(Get("/", "").find("secret page"), std::string::npos) << time;
    }
  }
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, ABadCertificateAtAReloadLeavesTheOldOneServing) {
  Serve();
  folder_.Write("key.pem", "no key");
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("key.pem")) << server_->output();
  EXPECT_NE(Get("/", "").find("secret page"), std::string::npos);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, AReloadReadsTheCertificateAnew) {
  Serve();
  EXPECT_NE(Get("/", "").find("CN = localhost"), std::string::npos);
  OutputOf("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=renewed -keyout " +
           (folder_ / "key.pem") + " -out " + (folder_ / "cert.pem"));
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("reloaded ")) << server_->output();
  EXPECT_NE(Get("/", "").find("CN = renewed"), std::string::npos);
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
}

TEST_F(Tls, AKeyThatDoesNotFitKeepsTheServerFromStarting) {
  folder_.Write("key.pem", "no key");
  std::string output;
  EXPECT_EQ(RunCogi({"serve", "--allow-root", folder_ / "cogi.json"}, &output), 1);
  EXPECT_NE(output.find("key.pem"), std::string::npos) << output;
}

}  // namespace
}  // namespace cogi::server
