#include "cgi/meta_variables.h"

namespace cogi::cgi {
namespace {

// Many names are as long as others, and many begin alike.
uint32_t KeyOf(std::string_view name) {
  if (name.empty()) return 0;
  const auto byte = [name](size_t at) {
    return static_cast<uint32_t>(static_cast<uint8_t>(name[at]));
  };
  return static_cast<uint32_t>(name.size()) << 16 ^ byte(name.size() / 2) << 8 ^
         byte(name.size() - 1);
}

}  // namespace

bool IsSafeVariable(std::string_view name, std::string_view value) {
  if (name.empty() || name == "HTTP_PROXY") return false;
  bool bad = false;
  for (const char c : name) {
    const auto byte = static_cast<uint8_t>(c);
    bad |= byte <= 0x20 || byte == 0x7f || c == '=';
  }
  return !bad && value.find('\0') == std::string_view::npos;
}

const MetaVariables::Entry* MetaVariables::Find(std::string_view name, uint32_t key) const {
  for (const Entry& entry : entries_)
    if (entry.key == key && entry.name == name) return &entry;
  return nullptr;
}

const MetaVariables::Entry* MetaVariables::Find(std::string_view name) const {
  return Find(name, KeyOf(name));
}

MetaVariables::Entry& MetaVariables::Slot(std::string_view name) {
  const uint32_t key = KeyOf(name);
  const Entry* found = Find(name, key);
  if (found != nullptr) return entries_[static_cast<size_t>(found - entries_.data())];
  return entries_.emplace_back(Entry{arena_.Copy(name), {}, key, false});
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
