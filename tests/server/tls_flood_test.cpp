// Clients that send records without end which say nothing, before and after the handshake:
// OpenSSL's own limits or the deadlines end their connection, and nobody else notices.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <csignal>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class TlsFlood : public ServerTest {
 protected:
  void SetUp() override {
    OutputOf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
        "/CN=localhost -keyout " +
        (folder_ / "key.pem") + " -out " + (folder_ / "cert.pem"));
    Start(R"({"listen": [{"address": "https:127.0.0.1:0",
                          "tls": {"certificate": "cert.pem", "key": "key.pem"}},
                         "http:127.0.0.1:0"], "workers": 1, "log": {"access": "off"},
              "timeouts": {"tls_handshake": "1s", "header": "1s", "keep_alive": "1s"},
              "routes": [{"path": "/", "native": "hello"}]})");
    worker_ = server_->workers().front();
  }
  // Others are served by the same worker as before.
  void ExpectNothingHappened() {
    EXPECT_EQ(Get("/").body, "hello\n");
    EXPECT_EQ(server_->workers(), std::vector<pid_t>{worker_});
  }
  // Sends `record` until the server ends the connection. False: it took 64 MiB of that.
  [[nodiscard]] bool EndsAFloodOf(const std::string& record) const {
    const Client client(server_->port(0, "https"));
    std::string many;
    while (many.size() < 16 << 10) many += record;
    for (size_t sent = 0; sent < 64 << 20; sent += many.size())
      if (!client.Send(many)) return true;
    return false;
  }

  pid_t worker_ = -1;
};

TEST_F(TlsFlood, BeforeTheHandshakeEndsTheConnection) {
  const struct {
    const char* name;
    std::string record;
  } floods[] = {
      {"empty handshake records", std::string("\x16\x03\x01\x00\x00", 5)},
      {"warnings", std::string("\x15\x03\x01\x00\x02\x01\x5a", 7)},
      {"changes of the cipher", std::string("\x14\x03\x03\x00\x01\x01", 6)},
      {"empty data", std::string("\x17\x03\x03\x00\x00", 5)},
      {"hello requests", std::string("\x16\x03\x01\x00\x04\x00\x00\x00\x00", 9)},
  };
  for (const auto& flood : floods) {
    EXPECT_TRUE(EndsAFloodOf(flood.record)) << flood.name;
    ExpectNothingHappened();
  }
  EXPECT_TRUE(server_->WaitOutput("tls_handshake: ")) << server_->output();
}

// A key update costs the receiver a derivation of keys, its sender nearly nothing.
TEST_F(TlsFlood, OfKeyUpdatesEndsTheConnection) {
  std::signal(SIGPIPE, SIG_IGN);
  Client client(server_->port(0, "https"));
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, client.fd());
  ASSERT_EQ(SSL_connect(ssl), 1);
  ASSERT_STREQ(SSL_get_version(ssl), "TLSv1.3");
  int sent = 0;
  while (sent < 100'000 && SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
         SSL_do_handshake(ssl) == 1)
    ++sent;
  EXPECT_LT(sent, 100'000);
  SSL_free(ssl);
  SSL_CTX_free(context);
  ExpectNothingHappened();
}

}  // namespace
}  // namespace cogi::server
