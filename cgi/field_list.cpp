#include "cgi/field_list.h"

#include <algorithm>
#include <stdexcept>

#include "cgi/http_syntax.h"

namespace cogi::cgi {

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}

void FieldList::Add(std::string_view name, std::string_view value) {
  if (bytes_.size() + name.size() + value.size() > UINT32_MAX) {
    throw std::length_error("FieldList: more than 4 GiB of fields");
  }
  entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(name.size()),
                      static_cast<uint32_t>(value.size())});
  bytes_.append(name).append(value);
}

bool FieldList::Remove(std::string_view name) {
  return std::erase_if(entries_, [&](const Entry& entry) {
           return std::string_view(bytes_).substr(entry.offset, entry.name) == name;
         }) > 0;
}

bool FieldList::RemoveIgnoringCase(std::string_view name) {
  return std::erase_if(entries_, [&](const Entry& entry) {
           return EqualIgnoringCase(std::string_view(bytes_).substr(entry.offset, entry.name),
                                    name);
         }) > 0;
}

std::optional<std::string_view> FieldList::Find(std::string_view name) const {
  for (size_t i = 0; i < size(); ++i) {
    FieldView field = (*this)[i];
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> FieldList::FindIgnoringCase(std::string_view name) const {
  for (size_t i = 0; i < size(); ++i) {
    FieldView field = (*this)[i];
    if (EqualIgnoringCase(field.name, name)) return field.value;
  }
  return std::nullopt;
}

void FieldList::Clear(size_t keep) {
  bytes_.clear();
  entries_.clear();
  if (bytes_.capacity() > keep) bytes_.shrink_to_fit();
  if (entries_.capacity() * sizeof(Entry) > keep) entries_.shrink_to_fit();
}

}  // namespace cogi::cgi
