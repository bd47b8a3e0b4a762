#include "cgi/forwarded.h"

#include <gtest/gtest.h>

#include <string>

#include "cgi/http_connection.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi {
namespace {

// Proxies at 10.* and fd00::* are ours.
bool Trusts(std::string_view address) {
  return address.starts_with("10.") || address.starts_with("fd00:");
}

void WithRequest(const std::string& fields, const FunctionHandler::Function& look) {
  ScriptedStream stream(
      {"GET / HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n" + fields + "\r\n"});
  RecordingEvents events;
  Limits limits;
  ConnectionInfo info{"10.0.0.1", "10.0.0.2", 4321, 8080};
  FunctionHandler handler(look);
  HttpConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.started, 1);
}

struct Case {
  const char* name;
  std::string fields;
  const char* address = "";
  uint16_t port = 0;
  const char* scheme = "";
  const char* host = "";
  const char* peer = "10.0.0.1";
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

const Case kCases[] = {
    {"Nothing", ""},
    {"XForwardedFor", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"},
    {"XForwardedAll",
     "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: a.b:8443\r\n",
     "192.0.2.1", 0, "https", "a.b:8443"},
    {"XForwardedProtoAlone", "X-Forwarded-Proto: https\r\n", "", 0, "https"},
    {"PeerNotTrusted", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "", 0, "", "",
     "198.51.100.1"},
    {"ForgedByTheClient", "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.7\r\n", "192.0.2.1"},
    {"SeveralFields", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.7\r\n", "192.0.2.1"},
    {"AllTrusted", "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n", "10.0.0.9"},
    {"Malformed", "X-Forwarded-For: 192.0.2.1, nonsense\r\n"},
    {"Unknown", "X-Forwarded-For: unknown\r\n"},
    {"WithPort", "X-Forwarded-For: 192.0.2.1:99\r\n", "192.0.2.1", 99},
    {"Ipv6Bare", "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
    {"Ipv6Brackets", "X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1", 99},
    {"BadHost", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a/b\r\n", "192.0.2.1"},
    {"BadScheme", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: ftp\r\n", "192.0.2.1"},
    {"Forwarded", "Forwarded: for=192.0.2.1;proto=http;host=a.b;by=10.0.0.1\r\n", "192.0.2.1", 0,
     "http", "a.b"},
    {"ForwardedQuoted", "Forwarded: For=\"[2001:db8::1]:4711\"; Proto=\"https\"\r\n", "2001:db8::1",
     4711, "https"},
    {"ForwardedChain", "Forwarded: for=203.0.113.9, for=192.0.2.1;proto=https, for=10.0.0.7\r\n",
     "192.0.2.1", 0, "https"},
    {"ForwardedObfuscated", "Forwarded: for=_hidden\r\n"},
    {"ForwardedObfuscatedPort", "Forwarded: for=\"192.0.2.1:_x\"\r\n", "192.0.2.1"},
    {"ForwardedIsReadAlone", "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.9\r\n",
     "192.0.2.1"},
    {"XForwardedIsReadAlone", "Forwarded: for=192.0.2.9\r\nX-Forwarded-For: 192.0.2.1\r\n",
     "192.0.2.1"},
    {"ForwardedOfTheOtherKind", "X-Forwarded-For: 192.0.2.9\r\n"},
    {"XForwardedOfTheOtherKind", "Forwarded: for=192.0.2.9\r\n"},
    {"ForwardedMalformed", "Forwarded: for=\"192.0.2.1\r\nX-Forwarded-For: 192.0.2.9\r\n"},
    // What the client wrote before the proxies' own words does not make these void.
    {"ForwardedOpenQuoteOfTheClient", "Forwarded: for=\"203.0.113.9, for=192.0.2.1\r\n",
     "192.0.2.1"},
    {"ForwardedNonsenseOfTheClient", "Forwarded: =;a b, for=192.0.2.1;proto=https\r\n", "192.0.2.1",
     0, "https"},
    {"ForwardedQuotedPair", "Forwarded: for=192.0.2.1;x=\"a\\\",for=10.0.0.7\"\r\n", "192.0.2.1"},
    {"ForwardedCommaInQuotes", "Forwarded: for=192.0.2.1;x=\"a,for=10.0.0.7\"\r\n", "192.0.2.1"},
};

// The cases named Forwarded... are behind proxies that write that field.
ForwardedFields FieldsOf(const Case& test) {
  return std::string_view(test.name).starts_with("Forwarded") ? ForwardedFields::kForwarded
                                                              : ForwardedFields::kXForwarded;
}

class Forwarded : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Cases, Forwarded, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Forwarded, IsBelievedAsFarAsTheProxiesAreTrusted) {
  const Case& test = GetParam();
  WithRequest(test.fields, [&](Request& request, Response&) {
    ForwardedClient client = FindForwardedClient(request, test.peer, FieldsOf(test), Trusts);
    EXPECT_EQ(client.address, test.address);
    EXPECT_EQ(client.port, test.port);
    EXPECT_EQ(client.scheme, test.scheme);
    EXPECT_EQ(client.host, test.host);
  });
}

// A client may write as many elements as it likes; who adds the last one knows it.
TEST(ForwardedLimits, NoChainOfTheClientsHidesItsAddress) {
  std::string x_chain, chain;
  for (int i = 0; i < 100; ++i) {
    x_chain += "203.0.113.9, ";
    chain += "for=203.0.113.9, ";
  }
  WithRequest(
      "X-Forwarded-For: " + x_chain + "192.0.2.1\r\nForwarded: " + chain + "for=192.0.2.1\r\n",
      [](Request& request, Response&) {
        for (const auto fields : {ForwardedFields::kXForwarded, ForwardedFields::kForwarded})
          EXPECT_EQ(FindForwardedClient(request, "10.0.0.1", fields, Trusts).address, "192.0.2.1");
      });
}

// Of a longer chain of proxies that are all trusted the nearest count.
TEST(ForwardedLimits, BoundTheChain) {
  std::string chain = "X-Forwarded-For: 192.0.2.1";
  for (int i = 0; i < 100; ++i) chain += ", 10.0.0.1";
  WithRequest(chain + "\r\n", [](Request& request, Response&) {
    EXPECT_EQ(
        FindForwardedClient(request, "10.0.0.1", ForwardedFields::kXForwarded, Trusts).address,
        "10.0.0.1");
  });
}

TEST(ForwardedClient, IsWhatTheProgramSees) {
  WithRequest("", [](Request& request, Response&) {
    ApplyForwarded({"192.0.2.1", 99, "https", "a.b:8443"}, request);
    EXPECT_EQ(request.Variable("REMOTE_ADDR"), "192.0.2.1");
    EXPECT_EQ(request.Variable("REMOTE_PORT"), "99");
    EXPECT_EQ(request.Variable("HTTPS"), "on");
    EXPECT_EQ(request.Variable("REQUEST_SCHEME"), "https");
    EXPECT_EQ(request.Variable("HTTP_HOST"), "a.b:8443");
    EXPECT_EQ(request.Variable("SERVER_NAME"), "a.b");
    EXPECT_EQ(request.Variable("SERVER_PORT"), "8443");
    EXPECT_EQ(request.Header("Host"), "inner");
    ApplyForwarded({"192.0.2.1", 0, "http", ""}, request);
    EXPECT_EQ(request.Variable("REMOTE_PORT"), std::nullopt);
    EXPECT_EQ(request.Variable("HTTPS"), std::nullopt);
    EXPECT_EQ(request.Variable("SERVER_PORT"), "80");
  });
}

}  // namespace
}  // namespace cogi::cgi
