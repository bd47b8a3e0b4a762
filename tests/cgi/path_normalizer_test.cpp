#include "cgi/path_normalizer.h"

#include <gtest/gtest.h>

#include <string>

namespace cogi::cgi {
namespace {

struct Case {
  const char* raw;
  PathError error;
  const char* path = "";
};

const Case kCases[] = {
    {"/", PathError::kNone, "/"},
    {"/a/b.html", PathError::kNone, "/a/b.html"},
    {"/a/", PathError::kNone, "/a/"},
    {"//a///b", PathError::kNone, "/a/b"},
    {"/./a/./b/.", PathError::kNone, "/a/b/"},
    {"/a/../b", PathError::kNone, "/b"},
    {"/a/b/..", PathError::kNone, "/a/"},
    {"/a/b/../", PathError::kNone, "/a/"},
    {"/a/b/../../c", PathError::kNone, "/c"},
    {"/a//../b", PathError::kNone, "/b"},
    {"/...", PathError::kNone, "/..."},
    {"/.hidden", PathError::kNone, "/.hidden"},
    {"/a.", PathError::kNone, "/a."},
    {"/%41%2d%7E", PathError::kNone, "/A-~"},
    {"/%2e/a/%2E%2e/b", PathError::kNone, "/b"},
    {"/%252e%252e/x", PathError::kNone, "/%2e%2e/x"},
    {"/%252f", PathError::kNone, "/%2f"},
    {"/a/..;/b", PathError::kNone, "/a/..;/b"},
    {"/%c0%ae%c0%ae/x", PathError::kNone, "/\xc0\xae\xc0\xae/x"},
    {"/%20%23%3f", PathError::kNone, "/ #?"},
    {"/%5c", PathError::kNone, "/\\"},
    {"/\xc3\xa4", PathError::kNone, "/\xc3\xa4"},
    {"", PathError::kNotAbsolute},
    {"a", PathError::kNotAbsolute},
    {"%2fa", PathError::kNotAbsolute},
    {"/..", PathError::kAboveRoot},
    {"/../a", PathError::kAboveRoot},
    {"/a/../..", PathError::kAboveRoot},
    {"/a/%2e%2e/../b", PathError::kAboveRoot},
    {"/.%2e/", PathError::kAboveRoot},
    {"//..", PathError::kAboveRoot},
    {"/%", PathError::kBadEscape},
    {"/%4", PathError::kBadEscape},
    {"/%4g", PathError::kBadEscape},
    {"/%%41", PathError::kBadEscape},
    {"/%00", PathError::kBadCharacter},
    {"/a%0ab", PathError::kBadCharacter},
    {"/a%0Db", PathError::kBadCharacter},
    {"/a\tb", PathError::kBadCharacter},
    {"/a b", PathError::kBadCharacter},
    {"/a#b", PathError::kBadCharacter},
    {"/a\\b", PathError::kBadCharacter},
    {"/a%2fb", PathError::kEncodedSlash},
    {"/..%2F..", PathError::kEncodedSlash},
};

TEST(NormalizePath, DecodesOnceAndResolvesDots) {
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.raw);
    std::string out(std::string(test.raw).size() + 1, '?');
    size_t size = 0;
    EXPECT_EQ(NormalizePath(test.raw, out.data(), size), test.error) << out;
    if (test.error == PathError::kNone) {
      EXPECT_EQ(out.substr(0, size), test.path);
    }
    EXPECT_EQ(out.back(), '?') << "wrote more than it was given";
    EXPECT_STRNE(Describe(test.error), "");
  }
}

TEST(NormalizePath, IsTheIdentityOnNormalPaths) {
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.raw);
    if (IsNormalPath(test.raw)) {
      EXPECT_STREQ(test.path, test.raw);
    }
    EXPECT_FALSE(IsNormalPath(test.raw) && test.error != PathError::kNone);
  }
  EXPECT_TRUE(IsNormalPath("/a/b.html"));
}

TEST(NormalizePath, LeavesEscapesAloneThatWereDecodedBefore) {
  char out[16];
  size_t size = 0;
  EXPECT_EQ(NormalizePath("/a%2fb/../c d", out, size, false), PathError::kNone);
  EXPECT_EQ(std::string(out, size), "/c d");
  EXPECT_EQ(NormalizePath("/a/../../b", out, size, false), PathError::kAboveRoot);
  EXPECT_EQ(NormalizePath("/a\nb", out, size, false), PathError::kBadCharacter);
}

}  // namespace
}  // namespace cogi::cgi
