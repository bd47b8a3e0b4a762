#include "server/redirected_request.h"

#include <gtest/gtest.h>

#include "tests/server/fake_request.h"

namespace cogi::server {
namespace {

constexpr auto kRedirect = RedirectedRequest::Kind::kRedirect;
constexpr auto kRewrite = RedirectedRequest::Kind::kRewrite;

TEST(RedirectedRequest, IsAGetForTheOtherPathWithoutABody) {
  FakeRequest original;
  original.request_method = "POST";
  original.request_path = "/form.cgi";
  original.headers = {{"Cookie", "a=b"}, {"Content-Type", "text/plain"}};
  original.variables = {{"REQUEST_METHOD", "POST"},   {"QUERY_STRING", "old"},
                        {"CONTENT_LENGTH", "12"},     {"CONTENT_TYPE", "text/plain"},
                        {"REMOTE_ADDR", "192.0.2.1"}, {"PATH_INFO", "/x"}};
  const RedirectedRequest redirected(original, "/thanks%20you?a=1&b=%20", kRedirect);
  ASSERT_TRUE(redirected.valid());
  EXPECT_EQ(redirected.method(), "GET");
  EXPECT_EQ(redirected.path(), "/thanks you");
  EXPECT_EQ(redirected.query(), "a=1&b=%20");
  EXPECT_EQ(redirected.content_length(), 0u);
  EXPECT_EQ(redirected.Header("Cookie"), "a=b");
  EXPECT_EQ(redirected.Header("Content-Type"), "");
  EXPECT_EQ(redirected.Variable("REQUEST_METHOD"), "GET");
  EXPECT_EQ(redirected.Variable("QUERY_STRING"), "a=1&b=%20");
  EXPECT_EQ(redirected.Variable("CONTENT_LENGTH"), std::nullopt);
  EXPECT_EQ(redirected.Variable("PATH_INFO"), std::nullopt);
  EXPECT_EQ(redirected.Variable("REMOTE_ADDR"), "192.0.2.1");
  EXPECT_EQ(redirected.Variable("REDIRECT_QUERY_STRING"), "old");
  EXPECT_EQ(redirected.Variable("REDIRECT_URL"), "/form.cgi");
  std::map<std::string, std::string> all;
  redirected.ForEachVariable([&](std::string_view name, std::string_view value) {
    EXPECT_TRUE(all.emplace(name, value).second) << name << " twice";
  });
  EXPECT_EQ(all.at("REQUEST_METHOD"), "GET");
  EXPECT_EQ(all.count("CONTENT_LENGTH"), 0u);
}

TEST(RedirectedRequest, HandsTheTermsOfItsRouteOn) {
  using std::chrono::milliseconds;
  const cgi::Terms before{.body = 1, .body_idle = milliseconds(2), .send_idle = milliseconds(3)};
  const cgi::Terms after{.body = 4, .body_idle = milliseconds(5), .send_idle = milliseconds(6)};
  for (const auto kind : {kRedirect, kRewrite}) {
    FakeRequest original;
    original.set_terms(before);
    RedirectedRequest redirected(original, "/a", kind);
    redirected.set_terms(after);
    EXPECT_EQ(redirected.terms().body, 4u);
    // A redirect has no body; what is left of the original's is dropped as its own route says.
    EXPECT_EQ(original.terms().body, kind == kRewrite ? 4u : 1u);
    EXPECT_EQ(original.terms().body_idle, milliseconds(kind == kRewrite ? 5 : 2));
    EXPECT_EQ(original.terms().send_idle, milliseconds(6));
  }
}

TEST(RedirectedRequest, CountsItsHops) {
  FakeRequest original;
  RedirectedRequest first(original, "/a", kRedirect);
  RedirectedRequest second(first, "/b", kRewrite);
  EXPECT_EQ(RedirectedRequest::HopsOf(original), 0u);
  EXPECT_EQ(RedirectedRequest::HopsOf(first), 1u);
  EXPECT_EQ(RedirectedRequest::HopsOf(second), 2u);
}

TEST(RedirectedRequest, TakesOnlyLawfulPaths) {
  FakeRequest original;
  const struct {
    const char *location, *path;  // path "": refused
  } cases[] = {
      {"/a/../b", "/b"},   {"/a/./b/", "/a/b/"}, {"/", "/"},       {"//a", "/a"},
      {"/a/..", "/"},      {"/%2e%2e/x", ""},    {"/../x", ""},    {"/%zz", ""},
      {"/%0d%0aX: y", ""}, {"/a%00", ""},        {"relative", ""}, {"", ""},
      {"/%4", ""},         {"/%252e", "/%2e"},
  };
  for (const auto& [location, path] : cases) {
    const RedirectedRequest redirected(original, location, kRedirect);
    EXPECT_EQ(redirected.valid(), *path != '\0') << location;
    if (*path != '\0') {
      EXPECT_EQ(redirected.path(), path) << location;
    }
  }
}

}  // namespace
}  // namespace cogi::server
