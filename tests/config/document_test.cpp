#include "config/document.h"

#include <gtest/gtest.h>

namespace cogi::config {
namespace {

// The text of `node` as it stands in the document, as far as its first byte shows.
const Node& At(const Node& object, std::string_view key) {
  for (const Member& member : object.members) {
    if (member.key == key) return member.value;
  }
  throw std::out_of_range(std::string(key));
}

TEST(Document, EveryValueKnowsWhereItBegins) {
  const std::string text = R"(// a comment with "quotes" and {brackets}
{
  "string": "a\"b", /* between * and ** / */ "number": 42,
  "real": -1.5e3,
  "yes": true, "no": false, "nothing": null,
  "array": [1,"two",{"three":3}], "tight":7}
)";
  const Document document(text, "x.json");
  for (const Member& member : document.root().members) {
    EXPECT_EQ(text.substr(member.offset, member.key.size() + 2), "\"" + member.key + "\"");
  }
  const auto starts = [&](const Node& node, std::string_view what) {
    EXPECT_EQ(text.substr(node.offset, what.size()), what);
  };
  starts(At(document.root(), "string"), "\"a\\\"b\"");
  starts(At(document.root(), "number"), "42,");
  starts(At(document.root(), "real"), "-1.5e3");
  starts(At(document.root(), "yes"), "true");
  starts(At(document.root(), "no"), "false");
  starts(At(document.root(), "nothing"), "null");
  const Node& array = At(document.root(), "array");
  starts(array, "[1");
  ASSERT_EQ(array.items.size(), 3u);
  starts(array.items[0], "1,");
  starts(array.items[1], "\"two\"");
  starts(array.items[2], "{\"three\"");
  starts(At(array.items[2], "three"), "3}");
  starts(At(document.root(), "tight"), "7}");
  EXPECT_EQ(At(document.root(), "string").string, "a\"b");
  EXPECT_EQ(At(document.root(), "number").integer, 42);
  EXPECT_EQ(At(document.root(), "real").real, -1500);
}

struct Refusal {
  const char* text;
  int line;
  int column;
  const char* message;  // a part of it
};

class DocumentRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(DocumentRefuses, WithPositionAndCause) {
  const Refusal& expected = GetParam();
  try {
    const Document document(expected.text, "x.json");
    FAIL() << "accepted: " << expected.text;
  } catch (const Error& error) {
    EXPECT_EQ(error.line(), expected.line) << error.what();
    EXPECT_EQ(error.column(), expected.column) << error.what();
    EXPECT_NE(std::string(error.what()).find(expected.message), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, DocumentRefuses,
    ::testing::Values(Refusal{"", 1, 1, "no JSON"}, Refusal{"{", 1, 2, "no JSON"},
                      Refusal{"{\n  \"a\": 1,\n}", 3, 1, "expected string literal"},
                      Refusal{"{\"a\": 01}", 1, 8, "no JSON"},
                      Refusal{"{\"a\": nul}", 1, 10, "invalid literal"},
                      Refusal{"{\"a\": \"\xff\"}", 1, 8, "UTF-8"},
                      Refusal{"{\"a\": \"open\n\"}", 1, 12, "no JSON"},
                      Refusal{"{} {}", 1, 4, "no JSON"}, Refusal{"{ /* open", 1, 10, "comment"},
                      Refusal{"{\"a\": 1e999}", 1, 7, "no JSON: number overflow"},
                      Refusal{"{\"a\": 9223372036854775808}", 1, 7, "64 bits"},
                      Refusal{"{\"a\": 1,\n \"b\": {\"c\": 1, \"c\": 2}}", 2, 16, "stands twice"}));

TEST(Document, NestingIsCapped) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_NO_THROW(Document(nested(Document::kMaxDepth), "x.json"));
  EXPECT_THROW(Document(nested(Document::kMaxDepth + 1), "x.json"), Error);
  EXPECT_THROW(Document(std::string(10'000'000, '['), "x.json"), Error);
}

TEST(Document, DuplicateKeysAreNamedByPointer) {
  try {
    const Document document(R"({"a~/b": [{}, {"x": 1, "x": 2}]})", "x.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.path(), "/a~0~1b/1/x");
  }
}

TEST(Document, EveryTruncationIsRefusedOrWhole) {
  const std::string text = R"({"a": [1, 2.5, "s\u00e9", {"b": null}], /* c */ "d": true})";
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_THROW(Document(std::string_view(text).substr(0, size), "x.json"), Error) << size;
  EXPECT_NO_THROW(Document(text, "x.json"));
}

}  // namespace
}  // namespace cogi::config
