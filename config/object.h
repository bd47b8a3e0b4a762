// Object: typed reads from one JSON object. Each read names the key, checks type and range, and
// leaves the field as it was if the key is absent; Done() then refuses the keys that nobody read.
// Every refusal is an Error with the position of the value and its JSON pointer.
#ifndef COGI_CONFIG_OBJECT_H_
#define COGI_CONFIG_OBJECT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.h"

namespace cogi::config {

class Object {
 public:
  // A member of an enumeration and its name in the file.
  template <typename Enum>
  using Names = std::vector<std::pair<std::string_view, Enum>>;

  // Throws Error if `node`, which stands at `pointer`, is no object.
  Object(const Document& document, const Node& node, std::string pointer);

  // Find() is the value of `key`, or null if it is absent; the key counts as known from now on.
  const Node* Find(std::string_view key);

  void Read(std::string_view key, std::string& out);  // not empty, no NUL
  void Read(std::string_view key, bool& out);
  void Read(std::string_view key, uint32_t& out, uint32_t min, uint32_t max);
  // A size: a whole number of bytes, or a string such as "64k", "16m", "1g".
  void ReadSize(std::string_view key, uint64_t& out, uint64_t min, uint64_t max);
  // A duration: a number of seconds, or a string such as "500ms", "10s", "2m", "1h", "1d".
  void ReadDuration(std::string_view key, std::chrono::milliseconds& out,
                    std::chrono::milliseconds min, std::chrono::milliseconds max);
  template <typename Enum>
  void ReadEnum(std::string_view key, Enum& out, const Names<Enum>& names) {
    std::vector<std::string_view> known;
    for (const auto& [name, value] : names) known.push_back(name);
    if (const int at = ReadOneOf(key, known); at >= 0) out = names[static_cast<size_t>(at)].second;
  }

  // ForEach() calls `visit` for every item of the array `key`, and with its pointer.
  void ForEach(std::string_view key,
               const std::function<void(const Node&, const std::string& pointer)>& visit);

  // Refuse() throws the Error for the value of `key` (the object itself if it is absent).
  [[noreturn]] void Refuse(std::string_view key, const std::string& message) const;
  [[noreturn]] void Expected(std::string_view key, const std::string& what, const Node& got) const;

  // Done() throws Error for the first key that was not asked for, and names the nearest that was.
  void Done() const;

  [[nodiscard]] const Document& document() const { return document_; }
  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] std::string PointerTo(std::string_view key) const {
    return JoinPointer(pointer_, key);
  }

 private:
  int ReadOneOf(std::string_view key, const std::vector<std::string_view>& known);
  const std::string& StringAt(std::string_view key, const Node& node) const;

  const Document& document_;
  const Node& node_;
  std::string pointer_;
  std::vector<std::string_view> known_;
};

// Nearest() is the one of `known` that `name` was probably meant to be: the fewest edits away (an
// insertion, removal, replacement or swap of neighbours each count one), at most a third of its
// length but at least one. "" if none is near.
[[nodiscard]] std::string_view Nearest(std::string_view name,
                                       const std::vector<std::string_view>& known);

}  // namespace cogi::config

#endif  // COGI_CONFIG_OBJECT_H_
