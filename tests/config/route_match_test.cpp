#include "config/route_match.h"

#include <gtest/gtest.h>

namespace cogi::config {
namespace {

Route Make(const std::string& path, const std::string& suffix = "", const std::string& host = "",
           bool exact = false) {
  Route route;
  route.path = path;
  route.suffix = suffix;
  route.host = host;
  route.exact = exact;
  return route;
}

TEST(RouteMatch, PrefixesEndAtASegment) {
  EXPECT_TRUE(Matches(Make("/"), "", "/anything"));
  EXPECT_TRUE(Matches(Make("/app"), "", "/app"));
  EXPECT_TRUE(Matches(Make("/app"), "", "/app/x"));
  EXPECT_FALSE(Matches(Make("/app"), "", "/apple"));
  EXPECT_TRUE(Matches(Make("/app/"), "", "/app/x"));
  EXPECT_FALSE(Matches(Make("/app/"), "", "/app"));
}

TEST(RouteMatch, ExactPathsAndSuffixes) {
  EXPECT_TRUE(Matches(Make("/ping", "", "", true), "", "/ping"));
  EXPECT_FALSE(Matches(Make("/ping", "", "", true), "", "/ping/x"));
  EXPECT_TRUE(Matches(Make("/", ".php"), "", "/a/b.php"));
  EXPECT_FALSE(Matches(Make("/", ".php"), "", "/a/b.phps"));
  EXPECT_FALSE(Matches(Make("/app/", ".php"), "", "/b.php"));
}

TEST(RouteMatch, HostsWithoutPortInAnyCase) {
  const Route route = Make("/", "", "www.example.org");
  EXPECT_TRUE(Matches(route, "www.example.org", "/"));
  EXPECT_TRUE(Matches(route, "WWW.Example.org:8080", "/"));
  EXPECT_FALSE(Matches(route, "example.org", "/"));
  EXPECT_FALSE(Matches(route, "", "/"));
  EXPECT_TRUE(Matches(Make("/", "", "[::1]"), "[::1]:80", "/"));
  EXPECT_TRUE(Matches(Make("/", "", "[::1]"), "[::1]", "/"));
}

TEST(RouteMatch, TheMostExactRouteAnswers) {
  std::vector<Route> routes{Make("/"),
                            Make("/", ".php"),
                            Make("/static/"),
                            Make("/static/", ".css"),
                            Make("/ping", "", "", true),
                            Make("/", "", "a.example")};
  SortRoutes(routes);
  const auto answers = [&](std::string_view host, std::string_view path) {
    const Route* route = FindRoute(routes, host, path);
    return route == nullptr ? "none" : route->host + route->path + route->suffix;
  };
  EXPECT_EQ(answers("", "/"), "/");
  EXPECT_EQ(answers("", "/x.php"), "/.php");
  EXPECT_EQ(answers("", "/static/x.php"), "/static/");
  EXPECT_EQ(answers("", "/static/x.css"), "/static/.css");
  EXPECT_EQ(answers("", "/ping"), "/ping");
  EXPECT_EQ(answers("a.example", "/ping"), "a.example/");
}

TEST(RouteMatch, NothingAnswersWhereNoRouteMatches) {
  EXPECT_EQ(FindRoute({Make("/app/")}, "", "/other"), nullptr);
  EXPECT_EQ(FindRoute({}, "", "/"), nullptr);
}

}  // namespace
}  // namespace cogi::config
