#include "server/program/environment.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/fake_request.h"

namespace cogi::server {
namespace {

using Texts = std::vector<std::string>;

Texts VariablesOf(EnvironmentBlock& block) {
  Texts all;
  for (char** each = block.variables(); *each != nullptr; ++each) all.emplace_back(*each);
  return all;
}

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

TEST(EnvironmentBlock, HasTheRequestThenWhatItDoesNotSetThenPath) {
  FakeRequest request;
  request.variables = {{"A", "1"}, {"AB", ""}, {"C", "a=b"}};
  EnvironmentBlock block;
  block.Build(request, {{"A", "other"}, {"B", "2"}}, "/cgi/name");
  EXPECT_EQ(VariablesOf(block), (Texts{"A=1", "AB=", "C=a=b", "B=2", kPath}));
  EXPECT_STREQ(block.arguments()[0], "/cgi/name");
  EXPECT_EQ(block.arguments()[1], nullptr);
  block.BuildBare({{"PATH", "/own"}}, "bare");
  EXPECT_EQ(VariablesOf(block), Texts{"PATH=/own"});
  EXPECT_STREQ(block.arguments()[0], "bare");
}

TEST(EnvironmentBlock, DropsWhatACStringCannotHold) {
  FakeRequest request;
  request.variables = {{"", "no name"},
                       {"A=B", "1"},
                       {std::string("N\0L", 3), "1"},
                       {"Z", std::string("a\0b", 3)},
                       {"GOOD", "1"}};
  EnvironmentBlock block;
  block.Build(request, {}, "name");
  EXPECT_EQ(VariablesOf(block), (Texts{"GOOD=1", kPath}));
}

TEST(EnvironmentBlock, GrowsForALargeRequestAndServesTheNext) {
  EnvironmentBlock block;
  for (const size_t size : {10, 300'000, 10}) {
    FakeRequest request;
    for (int i = 0; i < 20; ++i)
      request.variables[std::string(1, static_cast<char>('A' + i))] = std::string(size, 'x');
    block.Build(request, {}, "name");
    Texts expected;
    for (const auto& [name, value] : request.variables) expected.push_back(name + "=" + value);
    expected.emplace_back(kPath);
    EXPECT_EQ(VariablesOf(block), expected);
    EXPECT_STREQ(block.arguments()[0], "name");
    size_t bytes = sizeof "name";
    for (const std::string& each : expected) bytes += each.size() + 1;
    EXPECT_EQ(block.bytes(), bytes);
  }
}

}  // namespace
}  // namespace cogi::server
