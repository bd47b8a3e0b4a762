// FieldList: names and values in the order in which they came, in one block of memory that is kept
// when the list is cleared, so that a warm one allocates nothing.
#ifndef COGI_CGI_FIELD_LIST_H_
#define COGI_CGI_FIELD_LIST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cgi/export.h"

namespace cogi::cgi {

struct FieldView {
  std::string_view name;
  std::string_view value;
};

// Views that it hands out live until its next change.
class COGI_API FieldList {
 public:
  [[nodiscard]] size_t size() const { return entries_.size(); }
  // bytes() is the memory that names and values take, those of removed fields included.
  [[nodiscard]] size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] FieldView operator[](size_t index) const {
    const Entry& entry = entries_[index];
    const char* base = bytes_.data() + entry.offset;
    return {{base, entry.name}, {base + entry.name, entry.value}};
  }

  // Add() appends a field, whatever the names before it.
  void Add(std::string_view name, std::string_view value);
  // Remove() removes all fields of that name. Returns whether there were any. The two name
  // comparisons: RemoveIgnoringCase() for headers, Remove() for meta-variables.
  bool Remove(std::string_view name);
  bool RemoveIgnoringCase(std::string_view name);
  // Find() is the value of the first field of that name.
  [[nodiscard]] std::optional<std::string_view> Find(std::string_view name) const;
  [[nodiscard]] std::optional<std::string_view> FindIgnoringCase(std::string_view name) const;

  // Clear() forgets all fields and keeps the memory, unless there is more of it than `keep` bytes.
  void Clear(size_t keep = 16 * 1024);

 private:
  struct Entry {
    uint32_t offset;
    uint32_t name;   // length of the name
    uint32_t value;  // length of the value, which follows the name
  };
  std::string bytes_;
  std::vector<Entry> entries_;
};

// EqualIgnoringCase() compares ASCII text as header names are compared (RFC 9110 5.1).
[[nodiscard]] COGI_API bool EqualIgnoringCase(std::string_view a, std::string_view b);

}  // namespace cogi::cgi

#endif  // COGI_CGI_FIELD_LIST_H_
