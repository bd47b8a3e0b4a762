#include "server/text.h"

#include <gtest/gtest.h>

namespace cogi::server {
namespace {

TEST(Text, EscapedForALogStaysOnOneLineAndInItsQuotes) {
  const struct {
    std::string_view text, escaped;
  } cases[] = {
      {"plain", "plain"},
      {"a\r\nb", "a\\x0d\\x0ab"},
      {"\x1b[2J", "\\x1b[2J"},
      {"say \"hi\"\\", "say \\x22hi\\x22\\x5c"},
      {std::string_view("\0", 1), "\\x00"},
      {"\x7f\xff", "\\x7f\\xff"},
      {"%s%n", "%s%n"},
  };
  for (const auto& [text, escaped] : cases) {
    std::string out;
    EscapeForLog(out, text);
    EXPECT_EQ(out, escaped);
  }
}

TEST(Text, ALongTextIsCutInALogAndTheCutIsMarked) {
  std::string out;
  EscapeForLog(out, std::string(100, 'x'), 10);
  EXPECT_EQ(out, "xxxxxxxxxx...");
}

TEST(Text, HtmlIsEscaped) {
  std::string out;
  EscapeHtml(out, "<a href=\"x\">&'");
  EXPECT_EQ(out, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}

TEST(Text, APathIsEncodedForAUri) {
  std::string out;
  EncodePath(out, "/a b/ü?#%\r\n");
  EXPECT_EQ(out, "/a%20b/%C3%BC%3F%23%25%0D%0A");
}

TEST(Text, NumbersAreJoined) {
  EXPECT_EQ(Concat("a", 1, "-", uint64_t{18446744073709551615u}, std::string("b"), -3),
            "a1-18446744073709551615b-3");
}

}  // namespace
}  // namespace cogi::server
