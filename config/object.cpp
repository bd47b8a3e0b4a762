#include "config/object.h"

#include <algorithm>
#include <numeric>

#include "config/units.h"

namespace cogi::config {
namespace {

// Optimal string alignment distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string Choice(const std::vector<std::string_view>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += Quoted(names[i]);
  }
  return text;
}

}  // namespace

std::string_view Nearest(std::string_view name, const std::vector<std::string_view>& known) {
  constexpr size_t kLongest = 64;  // no key of ours is longer; bounds the work
  if (name.size() > kLongest) return {};
  std::string_view nearest;
  size_t least = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const size_t distance = Distance(name, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

Object::Object(const Document& document, const Node& node, std::string pointer)
    : document_(document), node_(node), pointer_(std::move(pointer)) {
  if (node.kind != Node::Kind::kObject)
    throw document.ErrorAt(node.offset, pointer_, "expected an object, got " + Describe(node));
}

const Node* Object::Find(std::string_view key) {
  known_.push_back(key);
  const auto found = std::find_if(node_.members.begin(), node_.members.end(),
                                  [&](const Member& member) { return member.key == key; });
  return found == node_.members.end() ? nullptr : &found->value;
}

const std::string& Object::StringAt(std::string_view key, const Node& node) const {
  if (node.kind != Node::Kind::kString) Expected(key, "a string", node);
  if (node.string.empty()) Refuse(key, "expected a string that is not empty");
  if (node.string.find('\0') != std::string::npos) Refuse(key, "holds a NUL character");
  return node.string;
}

void Object::Read(std::string_view key, std::string& out) {
  if (const Node* node = Find(key)) out = StringAt(key, *node);
}

void Object::Read(std::string_view key, bool& out) {
  const Node* node = Find(key);
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kBoolean) Expected(key, "true or false", *node);
  out = node->boolean;
}

void Object::Read(std::string_view key, uint32_t& out, uint32_t min, uint32_t max) {
  const Node* node = Find(key);
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kInteger || node->integer < min || node->integer > max)
    Expected(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max),
             *node);
  out = static_cast<uint32_t>(node->integer);
}

void Object::ReadSize(std::string_view key, uint64_t& out, uint64_t min, uint64_t max) {
  const Node* node = Find(key);
  if (node == nullptr) return;
  std::optional<uint64_t> size;
  if (node->kind == Node::Kind::kString) size = ParseSize(node->string);
  if (node->kind == Node::Kind::kInteger && node->integer >= 0)
    size = static_cast<uint64_t>(node->integer);
  if (!size || *size < min || *size > max)
    Expected(key,
             "a size from " + FormatSize(min) + " to " + FormatSize(max) +
                 ", in bytes or such as \"64k\", \"16m\", \"1g\"",
             *node);
  out = *size;
}

void Object::ReadDuration(std::string_view key, std::chrono::milliseconds& out,
                          std::chrono::milliseconds min, std::chrono::milliseconds max) {
  const Node* node = Find(key);
  if (node == nullptr) return;
  std::optional<std::chrono::milliseconds> duration;
  if (node->kind == Node::Kind::kString) duration = ParseDuration(node->string);
  if (node->kind == Node::Kind::kInteger || node->kind == Node::Kind::kReal)
    duration = FromSeconds(node->real);
  if (!duration || *duration < min || *duration > max)
    Expected(key,
             "a duration from " + FormatDuration(min) + " to " + FormatDuration(max) +
                 ", in seconds or such as \"500ms\", \"10s\", \"2m\"",
             *node);
  out = *duration;
}

int Object::ReadOneOf(std::string_view key, const std::vector<std::string_view>& known) {
  const Node* node = Find(key);
  if (node == nullptr) return -1;
  const auto found = node->kind == Node::Kind::kString
                         ? std::find(known.begin(), known.end(), node->string)
                         : known.end();
  if (found == known.end()) Expected(key, Choice(known), *node);
  return static_cast<int>(found - known.begin());
}

void Object::ForEach(std::string_view key,
                     const std::function<void(const Node&, const std::string&)>& visit) {
  const Node* node = Find(key);
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kArray) Expected(key, "an array", *node);
  for (size_t i = 0; i < node->items.size(); ++i)
    visit(node->items[i], JoinPointer(PointerTo(key), std::to_string(i)));
}

void Object::Refuse(std::string_view key, const std::string& message) const {
  for (const Member& member : node_.members) {
    if (member.key == key) throw document_.ErrorAt(member.value.offset, PointerTo(key), message);
  }
  throw document_.ErrorAt(node_.offset, pointer_, message);
}

void Object::Expected(std::string_view key, const std::string& what, const Node& got) const {
  Refuse(key, "expected " + what + ", got " + Describe(got));
}

void Object::Done() const {
  for (const Member& member : node_.members) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    const std::string_view nearest = Nearest(member.key, known_);
    std::string message = "unknown key";
    if (!nearest.empty()) {
      message += "; did you mean " + Quoted(nearest) + "?";
    } else {
      message += "; known here: " + Choice(known_);
    }
    throw document_.ErrorAt(member.offset, PointerTo(member.key), message);
  }
}

}  // namespace cogi::config
