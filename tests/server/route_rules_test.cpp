// What a route says beside who answers: headers, redirect and rewrite, passwords, error pages.
#include <crypt.h>
#include <gtest/gtest.h>

#include <csignal>

#include "server/basic_auth.h"
#include "server/error_pages.h"
#include "server/listener.h"
#include "tests/server/server_test.h"

namespace cogi::server {
namespace {

class RouteRules : public ServerTest {
 protected:
  void Serve(const std::string& routes) {
    folder_.Write("www/index.html", "front");
    folder_.Write("www/sub/page.html", "page");
    Start(R"({"listen": ["http:127.0.0.1:0"], "workers": 1,
                                       "log": {"access": "access.log"}, "routes": )" +
          routes + "}");
  }
  // A line of an htpasswd file, with a hash of little work.
  static std::string UserLine(const std::string& user, const std::string& password) {
    crypt_data data{};
    return user + ":" + crypt_r(password.c_str(), "$5$rounds=1000$salt", &data) + "\n";
  }
};

constexpr const char* kVariables =
    R"("native": {"module": ")" TEST_HANDLERS R"(", "handler": "variables"})";

TEST_F(RouteRules, HeadersAreInEveryAnswerAlsoOverTheHandlersOwn) {
  Serve(R"([{"path": "/", "static": "www", "headers": {"Cache-Control": "max-age=60",
             "X-Frame-Options": "DENY", "Last-Modified": null, "Content-Type": "text/x-own"}}])");
  const Answer found = Get("/");
  EXPECT_EQ(found.Field("Cache-Control"), "max-age=60");
  EXPECT_EQ(found.Field("X-Frame-Options"), "DENY");
  EXPECT_EQ(found.Field("Content-Type"), "text/x-own");
  EXPECT_EQ(found.Field("Last-Modified"), "");
  const Answer missing = Get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.Field("X-Frame-Options"), "DENY");
}

TEST_F(RouteRules, ARedirectNamesWhereItLeads) {
  Serve(R"([{"path": "/old", "redirect": "https://new.example{rest}{query}", "status": 301},
            {"exact": "/here", "redirect": "http://{host}/there{path}"}])");
  const Answer moved = Get("/old/a%20b/%C3%BC?x=1&y=%0d");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.Field("Location"), "https://new.example/a%20b/%C3%BC?x=1&y=%0d");
  EXPECT_EQ(Get("/old").Field("Location"), "https://new.example");
  const Answer found = Get("/here");
  EXPECT_EQ(found.status, 302);
  EXPECT_TRUE(Has(found.Field("Location"), "/there/here"));
}

TEST_F(RouteRules, ARewriteAsksAnotherPathWithMethodBodyAndQuery) {
  Serve(std::string(R"([{"path": "/app", "rewrite": "/front{rest}"},
            {"path": "/once", "rewrite": "/front?fixed=1"},
            {"path": "/loop", "rewrite": "/loop/x"}, {"path": "/up", "rewrite": "/../etc"},
            {"path": "/post", "rewrite": "/echo"}, {"path": "/echo", "native": "echo"},
            {"path": "/front", )") +
        kVariables + "}]");
  const Answer answer = Get("/app/a/b?x=1");
  EXPECT_TRUE(Has(answer.body, "QUERY_STRING=x=1\n")) << answer.body;
  EXPECT_TRUE(Has(answer.body, "REQUEST_URI=/app/a/b?x=1\n")) << answer.body;
  EXPECT_TRUE(Has(answer.body, "REDIRECT_URL=/app/a/b\n")) << answer.body;
  EXPECT_TRUE(Has(Get("/once?x=1").body, "QUERY_STRING=fixed=1\n"));
  EXPECT_EQ(Ask(server_->port(), "/post", "POST", "", "a body").body, "a body");
  EXPECT_EQ(Get("/loop").status, 500);
  EXPECT_EQ(Get("/up").status, 500);
}

TEST_F(RouteRules, OnlyWhoKnowsAPasswordMayAsk) {
  folder_.Write("users", "# staff\n" + UserLine("ada", "secret") + UserLine("bob", "a:b"));
  Serve(std::string(R"([{"path": "/", "auth": {"realm": "Staff", "users": "users"}, )") +
        kVariables + "}]");
  const Answer none = Get("/");
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.Field("WWW-Authenticate"), "Basic realm=\"Staff\", charset=\"UTF-8\"");
  const struct {
    const char* credentials;
    int status;
  } cases[] = {
      {"Basic YWRhOnNlY3JldA==", 200},  // ada:secret
      {"basic YWRhOnNlY3JldA", 200},    // any case, no padding
      {"Basic YWRhOnNlY3JldA==", 200},  // known by now
      {"Basic Ym9iOmE6Yg==", 200},      // bob:a:b
      {"Basic YWRhOndyb25n", 401},      // ada:wrong
      {"Basic YWRhOg==", 401},          // ada:
      {"Basic ZXZlOnNlY3JldA==", 401},  // eve:secret
      {"Basic YWRhOnNlY3JldAA=", 401},  // ada:secret, NUL
      {"Basic YWRh", 401},              // ada
      {"Basic !!!!", 401},
      {"Basic ", 401},
      {"Bearer YWRhOnNlY3JldA==", 401},
  };
  for (const auto& [credentials, status] : cases)
    EXPECT_EQ(Get("/", std::string("Authorization: ") + credentials + "\r\n").status, status)
        << credentials;
  const Answer ada = Get("/", "Authorization: Basic YWRhOnNlY3JldA==\r\n");
  EXPECT_TRUE(Has(ada.body, "REMOTE_USER=ada\n")) << ada.body;
  EXPECT_TRUE(Has(ada.body, "AUTH_TYPE=Basic\n")) << ada.body;
  EXPECT_FALSE(Has(ada.body, "HTTP_AUTHORIZATION")) << ada.body;
  EXPECT_TRUE(server_->WaitOutput("wrong name or password for \"ada\""));
  EXPECT_TRUE(WaitUntil([&] { return Has(ReadFile(folder_ / "access.log"), " - ada "); }));
}

TEST_F(RouteRules, WeakOrMalformedPasswordFilesKeepTheServerFromStarting) {
  WorkerCounters counters{};
  for (const char* line : {"ada:$apr1$abcdefgh$xyz", "ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
                           "ada:secret", "ada", ":$6$salt$x", ""}) {
    folder_.Write("users", line);
    EXPECT_THROW(BasicAuth({"realm", folder_ / "users"}, counters), std::runtime_error) << line;
  }
}

TEST_F(RouteRules, AnErrorPageIsSmall) {
  std::map<uint16_t, std::string> pages{
      {404, folder_.Write("page.html", std::string(1 << 20, 'x'))}};
  EXPECT_NO_THROW(ErrorPages{pages});
  for (const std::string& file : {folder_.Write("large.html", std::string((1 << 20) + 1, 'x')),
                                  std::string("/dev/zero"), std::string(folder_ / "missing")}) {
    pages[404] = file;
    EXPECT_THROW(ErrorPages{pages}, StartError) << file;
  }
}

TEST_F(RouteRules, ErrorPagesStandInForTheServersOwn) {
  folder_.Write("pages/404.html", "<h1>nothing here</h1>");
  folder_.Write("pages/oops.txt", "oops");
  Serve(R"([{"path": "/", "static": "www",
             "error_pages": {"404": "pages/404.html", "4xx": "pages/oops.txt"}},
            {"path": "/echo", "native": "echo", "timeouts": {"handler": "100ms"},
             "error_pages": {"5xx": "pages/oops.txt"}}])");
  const Answer missing = Get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, "<h1>nothing here</h1>");
  EXPECT_EQ(missing.Field("Content-Type"), "text/html; charset=utf-8");
  const Answer method = Ask(server_->port(), "/", "DELETE");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.body, "oops");
  EXPECT_EQ(method.Field("Allow"), "GET, HEAD");
  Client late(server_->port());
  ASSERT_TRUE(late.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
  const Answer timeout = late.ReadAnswer();
  EXPECT_EQ(timeout.status, 504);
  EXPECT_EQ(timeout.body, "oops");
}

}  // namespace
}  // namespace cogi::server
