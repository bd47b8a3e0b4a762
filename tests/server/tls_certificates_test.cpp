// Certificates of https listeners: several of them by name, those of clients, and one made for a
// developer. Asked by the openssl command line client.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>

#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class TlsCertificates : public ServerTest {
 protected:
  // A certificate for `names` ("DNS:a.example"), signed by itself.
  void Make(const std::string& file, const std::string& subject, const std::string& names) const {
    OutputOf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '" +
        subject + "' -addext subjectAltName=" + names + " -keyout " + (folder_ / (file + ".key")) +
        " -out " + (folder_ / (file + ".pem")));
  }
  void Serve(const std::string& tls) {
    Start(R"({"listen": [{"address": "https:127.0.0.1:0", "tls": )" + tls +
          R"(}], "workers": 1, "log": {"access": "off"},
            "routes": [{"path": "/", "native": {"module": ")" TEST_HANDLERS
          R"(", "handler": "variables"}}]})");
    FindAddress();
  }
  void FindAddress() { address_ = "127.0.0.1:" + std::to_string(server_->port(0, "https")); }
  // What s_client prints of a request for `host`, and of the handshake before it.
  [[nodiscard]] std::string Get(const std::string& host, const std::string& options) const {
    return OutputOf("sh -c \"printf 'GET / HTTP/1.1\\r\\nHost: " + host +
                    "\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -ign_eof -connect " +
                    address_ + " " + options + "\"");
  }

  std::string address_;
};

TEST_F(TlsCertificates, TheOneWithTheNameThatTheClientAsksForIsShown) {
  Make("first", "/CN=first", "DNS:first.example");
  Make("second", "/CN=second", "DNS:second.example,DNS:*.wild.example");
  Serve(R"({"certificates": [{"certificate": "first.pem", "key": "first.key"},
                             {"certificate": "second.pem", "key": "second.key"}]})");
  const struct {
    const char* name;
    const char* shown;
  } cases[] = {{"first.example", "first"},    {"second.example", "second"},
               {"SECOND.example", "second"},  {"a.wild.example", "second"},
               {"a.b.wild.example", "first"}, {"other.example", "first"}};
  for (const auto& test : cases) {
    const std::string text = Get(test.name, std::string("-servername ") + test.name);
    EXPECT_TRUE(Has(text, std::string("subject=CN = ") + test.shown)) << test.name << text;
    EXPECT_TRUE(Has(text, "200 OK")) << test.name << text;
    EXPECT_TRUE(Has(text, std::string("SSL_TLS_SNI=") + test.name)) << test.name << text;
  }
  EXPECT_TRUE(Has(Get("x", "-noservername"), "subject=CN = first"));
}

TEST_F(TlsCertificates, ARequestForAHostOfAnotherCertificateIs421) {
  Make("first", "/CN=first", "DNS:first.example,DNS:both.example");
  Make("second", "/CN=second", "DNS:second.example");
  Serve(R"({"certificates": [{"certificate": "first.pem", "key": "first.key"},
                             {"certificate": "second.pem", "key": "second.key"}]})");
  EXPECT_TRUE(Has(Get("second.example", "-servername first.example"), "HTTP/1.1 421 "));
  EXPECT_TRUE(Has(Get("both.example:8443", "-servername first.example"), "HTTP/1.1 200 "));
}

TEST_F(TlsCertificates, ASessionIsResumedUnderItsName) {
  Make("first", "/CN=first", "DNS:first.example");
  Make("second", "/CN=second", "DNS:second.example");
  Serve(R"({"certificates": [{"certificate": "first.pem", "key": "first.key"},
                             {"certificate": "second.pem", "key": "second.key"}]})");
  for (const std::string version : {"-tls1_2", "-tls1_3"}) {
    const std::string session = folder_ / "session";
    const std::string options = version + " -servername second.example ";
    EXPECT_TRUE(Has(Get("second.example", options + "-sess_out " + session), "=Initial"));
    const std::string again = Get("second.example", options + "-sess_in " + session);
    EXPECT_TRUE(Has(again, "SSL_SESSION_RESUMED=Resumed")) << again;
  }
}

TEST_F(TlsCertificates, AClientThatMustShowOneIsKnownToProgramsByApachesNames) {
  Make("server", "/CN=localhost", "DNS:localhost");
  Make("client", "/C=DE/O=Engines, Inc./CN=Ada/emailAddress=ada@example.org",
       "email:ada@example.org,DNS:ada.example");
  Make("stranger", "/CN=Eve", "DNS:eve.example");
  Serve(R"({"certificate": "server.pem", "key": "server.key", "client_ca": "client.pem"})");
  const std::string ada =
      Get("localhost", "-cert " + (folder_ / "client.pem") + " -key " + (folder_ / "client.key"));
  for (const char* line :
       {"HTTPS=on\n", "REQUEST_SCHEME=https\n", "SSL_CLIENT_VERIFY=SUCCESS\n",
        "SSL_CLIENT_S_DN_CN=Ada\n", "SSL_CLIENT_S_DN_O=Engines, Inc.\n",
        "SSL_CLIENT_S_DN_Email=ada@example.org\n", "SSL_CLIENT_I_DN_C=DE\n",
        "SSL_CLIENT_S_DN=emailAddress=ada@example.org,CN=Ada,O=Engines\\, Inc.,C=DE\n",
        "SSL_CLIENT_SAN_Email_0=ada@example.org\n", "SSL_CLIENT_SAN_DNS_0=ada.example\n",
        "SSL_CLIENT_M_VERSION=3\n", "SSL_CLIENT_M_SERIAL=", "SSL_CLIENT_V_START=",
        "SSL_CLIENT_V_END=", "SSL_CLIENT_V_REMAIN=", "SSL_PROTOCOL=TLSv1.3\n", "SSL_CIPHER=TLS_"})
    EXPECT_TRUE(Has(ada, line)) << line << ada;
  EXPECT_FALSE(Has(Get("localhost", ""), "200 OK"));
  EXPECT_FALSE(Has(Get("localhost", "-cert " + (folder_ / "stranger.pem") + " -key " +
                                        (folder_ / "stranger.key")),
                   "200 OK"));
  EXPECT_TRUE(server_->WaitOutput("tls_handshake: ")) << server_->output();
}

TEST_F(TlsCertificates, AClientThatMayShowOneIsServedWithout) {
  Make("server", "/CN=localhost", "DNS:localhost");
  Make("client", "/CN=Ada", "DNS:ada.example");
  Make("stranger", "/CN=Eve", "DNS:eve.example");
  Serve(R"({"certificate": "server.pem", "key": "server.key", "client_ca": "client.pem",
            "client": "optional"})");
  const auto with = [&](const std::string& who) {
    return Get("localhost",
               "-cert " + (folder_ / (who + ".pem")) + " -key " + (folder_ / (who + ".key")));
  };
  const std::string nobody = Get("localhost", "");
  EXPECT_TRUE(Has(nobody, "SSL_CLIENT_VERIFY=NONE\n")) << nobody;
  EXPECT_FALSE(Has(nobody, "SSL_CLIENT_S_DN"));
  EXPECT_TRUE(Has(with("client"), "SSL_CLIENT_S_DN=CN=Ada\n"));
  EXPECT_FALSE(Has(with("stranger"), "200 OK"));
}

TEST_F(TlsCertificates, ADirectoryIsServedWithOneMadeForTheOccasion) {
  folder_.Write("www/index.html", "secret page");
  StartWith(
      {"serve", folder_ / "www", "--tls-dev", "--listen", "https:127.0.0.1:0", "--workers", "1"});
  FindAddress();
  const std::string text = Get("localhost", "-servername localhost");
  EXPECT_TRUE(Has(text, "secret page")) << text;
  EXPECT_TRUE(Has(text, "subject=CN = localhost")) << text;
  const auto certificate = [&] {
    return OutputOf("sh -c 'openssl s_client -connect " + address_ +
                    " </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -ext "
                    "subjectAltName'");
  };
  const std::string before = certificate();
  EXPECT_TRUE(Has(before, "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"));
  server_->Signal(SIGHUP);
  ASSERT_TRUE(server_->WaitOutput("reloaded ")) << server_->output();
  EXPECT_EQ(certificate(), before);
}

}  // namespace
}  // namespace cogi::server
