#include "cgi/meta_variables.h"

#include <cstdint>

namespace cogi::cgi {

bool IsSafeVariable(std::string_view name, std::string_view value) {
  if (name.empty() || name == "HTTP_PROXY") return false;
  for (char c : name) {
    auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '=') return false;
  }
  return value.find('\0') == std::string_view::npos;
}

const MetaVariables::Entry* MetaVariables::Find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

MetaVariables::Entry& MetaVariables::Slot(std::string_view name) {
  const Entry* found = Find(name);
  if (found != nullptr) return entries_[static_cast<size_t>(found - entries_.data())];
  return entries_.emplace_back(Entry{arena_.Copy(name), {}, false});
}

void MetaVariables::Set(std::string_view name, std::string_view value) {
  Entry& entry = Slot(name);
  entry.value = arena_.Copy(value);
  entry.set = true;
}

void MetaVariables::Unset(std::string_view name) { Slot(name).set = false; }

bool MetaVariables::SetFromPeer(std::string_view name, std::string_view value) {
  if (!IsSafeVariable(name, value)) return false;
  Set(name, value);
  return true;
}

std::optional<std::string_view> MetaVariables::Get(std::string_view name) const {
  const Entry* entry = Find(name);
  if (entry == nullptr || !entry->set) return std::nullopt;
  return entry->value;
}

void MetaVariables::Clear() {
  entries_.clear();
  arena_.Clear();
}

}  // namespace cogi::cgi
