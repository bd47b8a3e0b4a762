// Document: a JSON text as a tree whose every key and value knows where it stands, so that a
// refusal can name line and column. The only part of cogi's configuration that knows nlohmann-json.
//
// The text is RFC 8259 with // and /* */ comments. Refused: a nesting deeper than 64, a key that
// stands twice in one object, an integer outside 64 bits, anything behind the document.
#ifndef COGI_CONFIG_DOCUMENT_H_
#define COGI_CONFIG_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.h"

namespace cogi::config {

struct Member;

struct Node {
  enum class Kind : uint8_t { kNull, kBoolean, kInteger, kReal, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  size_t offset = 0;  // of its first byte in the text
  bool boolean = false;
  int64_t integer = 0;
  double real = 0;              // kInteger too, as nearly as it can
  std::string string;           // decoded, UTF-8
  std::vector<Node> items;      // kArray
  std::vector<Member> members;  // kObject, in the order of the text
};

struct Member {
  std::string key;
  size_t offset = 0;  // of the key's opening quote
  Node value;
};

// Quoted() is `text` between quotation marks.
[[nodiscard]] std::string Quoted(std::string_view text);
// Describe() names a value for a message: `the string "x"`, `an object`, `42`.
[[nodiscard]] std::string Describe(const Node& node);

class Document {
 public:
  static constexpr int kMaxDepth = 64;

  // Parses `text`; `file` names it in messages. Throws Error. `text` must outlive the document.
  Document(std::string_view text, std::string file);

  [[nodiscard]] const Node& root() const { return root_; }
  [[nodiscard]] const std::string& file() const { return file_; }

  // ErrorAt() makes the refusal of what stands at `offset`; `path` is its JSON pointer.
  [[nodiscard]] Error ErrorAt(size_t offset, const std::string& path,
                              const std::string& message) const;

 private:
  std::string_view text_;
  std::string file_;
  Node root_;
};

// JoinPointer() appends a key to a JSON pointer (RFC 6901: "~" and "/" are escaped).
[[nodiscard]] std::string JoinPointer(const std::string& pointer, std::string_view key);

}  // namespace cogi::config

#endif  // COGI_CONFIG_DOCUMENT_H_
