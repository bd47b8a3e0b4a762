#include "config/document.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace cogi::config {
namespace {

using Json = nlohmann::json;

// TokenTracker follows the lexer byte by byte and keeps the offset at which the token that it read
// last begins: nlohmann's SAX interface gives no positions. The one byte that the lexer reads ahead
// behind a number is a space, a comma, a bracket or a slash, none of which begins a new token here,
// or is a syntax error.
class TokenTracker {
 public:
  void Take(char c) {
    const size_t offset = taken_++;
    switch (state_) {
      case State::kPlain:
        TakePlain(c, offset);
        break;
      case State::kString:
        if (c == '\\') state_ = State::kEscape;
        if (c == '"') state_ = State::kPlain;
        break;
      case State::kEscape:
        state_ = State::kString;
        break;
      case State::kSlash:
        state_ = c == '*' ? State::kBlock : State::kLine;
        break;
      case State::kLine:
        if (c == '\n' || c == '\r') state_ = State::kPlain;
        break;
      case State::kBlock:
        if (c == '*') state_ = State::kStar;
        break;
      case State::kStar:
        if (c != '*') state_ = c == '/' ? State::kPlain : State::kBlock;
        break;
    }
  }

  [[nodiscard]] size_t token() const { return token_; }

 private:
  enum class State : uint8_t { kPlain, kString, kEscape, kSlash, kLine, kBlock, kStar };

  void TakePlain(char c, size_t offset) {
    const bool was_word = std::exchange(in_word_, false);
    switch (c) {
      case '"':
        state_ = State::kString;
        token_ = offset;
        break;
      case '/':
        state_ = State::kSlash;
        break;
      case '{':
      case '[':
        token_ = offset;
        break;
      case ' ':
      case '\t':
      case '\n':
      case '\r':
      case ',':
      case ':':
      case '}':
      case ']':
        break;
      default:
        if (!was_word) token_ = offset;
        in_word_ = true;
    }
  }

  State state_ = State::kPlain;
  bool in_word_ = false;
  size_t taken_ = 0;
  size_t token_ = 0;
};

// TrackedIterator feeds the lexer and tells the tracker of every byte that it takes.
class TrackedIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedIterator(const char* at, TokenTracker* tracker) : at_(at), tracker_(tracker) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    tracker_->Take(*at_++);
    return *this;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TrackedIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  TokenTracker* tracker_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." without what
// our own message says already.
std::string Cause(const std::string& what) {
  for (const std::string_view lead : {"column ", "] "}) {
    const size_t found = what.find(lead);
    if (found == std::string::npos) continue;
    const size_t colon = what.find(": ", found);
    if (lead == "column ") return what.substr(colon == std::string::npos ? found : colon + 2);
    return what.substr(found + lead.size());
  }
  return what;
}

// TreeBuilder is the SAX handler. It throws Error, which passes through nlohmann's parser.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(const Document& document, const TokenTracker& tracker, Node& root)
      : document_(document), tracker_(tracker), root_(root) {}

  bool null() override {
    Add(Node::Kind::kNull);
    return true;
  }
  bool boolean(bool value) override {
    Add(Node::Kind::kBoolean).boolean = value;
    return true;
  }
  bool number_integer(number_integer_t value) override {
    Node& node = Add(Node::Kind::kInteger);
    node.integer = value;
    node.real = static_cast<double>(value);
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      Fail("a number that does not fit 64 bits");
    return number_integer(static_cast<number_integer_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override {
    Add(Node::Kind::kReal).real = value;
    return true;
  }
  bool string(string_t& value) override {
    Add(Node::Kind::kString).string = std::move(value);
    return true;
  }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return Open(Node::Kind::kObject); }
  bool start_array(size_t) override { return Open(Node::Kind::kArray); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    std::vector<Member>& members = open_.back()->members;
    const auto same = std::find_if(members.begin(), members.end(),
                                   [&](const Member& member) { return member.key == name; });
    if (same != members.end()) {
      pointers_.push_back(name);
      Fail("this key stands twice in one object; the first value would be lost");
    }
    members.push_back({name, tracker_.token(), {}});
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    // nlohmann counts the bytes read, the offending one included. A number that overflows is known
    // to be one only when it has been read.
    const bool overflow = dynamic_cast<const Json::out_of_range*>(&error) != nullptr;
    const size_t at = overflow ? tracker_.token() : position - std::min<size_t>(position, 1);
    throw document_.ErrorAt(at, "", "no JSON: " + Cause(error.what()));
  }

 private:
  [[noreturn]] void Fail(const std::string& message) const {
    std::string pointer;
    for (const std::string& key : pointers_) pointer = JoinPointer(pointer, key);
    throw document_.ErrorAt(tracker_.token(), pointer, message);
  }

  // Where the value that comes now belongs.
  Node& Place() {
    if (open_.empty()) return root_;
    Node& parent = *open_.back();
    if (parent.kind == Node::Kind::kArray) return parent.items.emplace_back();
    return parent.members.back().value;
  }

  Node& Add(Node::Kind kind) {
    Node& node = Place();
    node.kind = kind;
    node.offset = tracker_.token();
    return node;
  }

  bool Open(Node::Kind kind) {
    if (!open_.empty()) {
      const Node& parent = *open_.back();
      pointers_.push_back(parent.kind == Node::Kind::kArray ? std::to_string(parent.items.size())
                                                            : parent.members.back().key);
    }
    if (open_.size() == static_cast<size_t>(Document::kMaxDepth))
      Fail("nested deeper than " + std::to_string(Document::kMaxDepth));
    open_.push_back(&Add(kind));
    return true;
  }

  bool Close() {
    open_.pop_back();
    if (!pointers_.empty()) pointers_.pop_back();
    return true;
  }

  const Document& document_;
  const TokenTracker& tracker_;
  Node& root_;
  // The objects and arrays around the place of the parse, outermost first. A vector of nodes grows
  // only at its innermost end, so the addresses stay valid.
  std::vector<Node*> open_;
  std::vector<std::string> pointers_;
};

}  // namespace

namespace {

std::string Message(const std::string& file, int line, int column, const std::string& path,
                    const std::string& message) {
  std::string text = file;
  if (line != 0)
    text.append(":").append(std::to_string(line)).append(":").append(std::to_string(column));
  text += ": ";
  if (!path.empty()) text.append(path).append(": ");
  return text + message;
}

}  // namespace

Error::Error(std::string file, int line, int column, std::string path, const std::string& message)
    : std::runtime_error(Message(file, line, column, path, message)),
      file_(std::move(file)),
      line_(line),
      column_(column),
      path_(std::move(path)) {}

std::string Quoted(std::string_view text) {
  std::string quoted(1, '"');
  quoted.append(text);
  return quoted += '"';
}

std::string JoinPointer(const std::string& pointer, std::string_view key) {
  std::string joined = pointer + "/";
  for (const char c : key) {
    if (c == '~') {
      joined += "~0";
    } else if (c == '/') {
      joined += "~1";
    } else {
      joined += c;
    }
  }
  return joined;
}

std::string Describe(const Node& node) {
  constexpr size_t kShown = 60;
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kBoolean:
      return node.boolean ? "true" : "false";
    case Node::Kind::kInteger:
      return std::to_string(node.integer);
    case Node::Kind::kReal:
      return Json(node.real).dump();
    case Node::Kind::kString:
      return Quoted(node.string.size() > kShown ? node.string.substr(0, kShown) + "..."
                                                : node.string);
    case Node::Kind::kArray:
      return "an array";
    case Node::Kind::kObject:
      return "an object";
  }
  return "";
}

Document::Document(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
  TokenTracker tracker;
  TreeBuilder builder(*this, tracker, root_);
  const char* begin = text.data();
  (void)Json::sax_parse(TrackedIterator(begin, &tracker),
                        TrackedIterator(begin + text.size(), &tracker), &builder,
                        nlohmann::detail::input_format_t::json, /*strict=*/true,
                        /*ignore_comments=*/true);
}

Error Document::ErrorAt(size_t offset, const std::string& path, const std::string& message) const {
  const std::string_view before = text_.substr(0, std::min(offset, text_.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return Error(file_, static_cast<int>(lines) + 1, static_cast<int>(before.size() - line_start) + 1,
               path, message);
}

}  // namespace cogi::config
