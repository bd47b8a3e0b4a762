#include "cgi/meta_variables.h"

#include <algorithm>
#include <cstring>

namespace cogi::cgi {
namespace {

constexpr size_t kSlots = 64;  // of the index at first: more than what web servers send need

uint64_t WordAt(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Names that begin alike are many; what they end with tells them apart.
uint32_t HashOf(std::string_view name) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  uint64_t tail = name.size();
  if (name.size() >= sizeof tail) {
    tail ^= WordAt(name.data() + name.size() - sizeof tail);
  } else {
    for (const char c : name) tail = tail << 8 ^ static_cast<uint8_t>(c);
  }
  tail *= kOdd;
  return static_cast<uint32_t>((tail ^ tail >> 32) * kOdd >> 32);
}

// Control characters, space, "=" and DEL have no place in a name.
bool IsBarred(char c) { return static_cast<uint8_t>(c) <= ' ' || c == '=' || c == 0x7f; }

// IsBarred() of eight bytes at once: not 0 if it is true of any of them.
uint64_t Barred(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t equals = word ^ kOnes * '=', del = word ^ kOnes * 0x7f;
  return (((word - kOnes * (' ' + 1)) & ~word) | ((equals - kOnes) & ~equals) |
          ((del - kOnes) & ~del)) &
         kOnes * 0x80;
}

bool HasBarred(std::string_view name) {
  if (name.size() < sizeof(uint64_t)) return std::any_of(name.begin(), name.end(), &IsBarred);
  const size_t last = name.size() - sizeof(uint64_t);
  uint64_t barred = Barred(WordAt(name.data() + last));
  for (size_t at = 0; at < last; at += sizeof(uint64_t)) barred |= Barred(WordAt(name.data() + at));
  return barred != 0;
}

}  // namespace

bool IsSafeVariable(std::string_view name, std::string_view value) {
  return !name.empty() && !HasBarred(name) && name != "HTTP_PROXY" &&
         (value.empty() || std::memchr(value.data(), 0, value.size()) == nullptr);
}

const MetaVariables::Entry* MetaVariables::Find(std::string_view name, uint32_t hash) const {
  const size_t mask = index_.size() - 1;
  for (size_t at = hash & mask; index_[at] != 0; at = (at + 1) & mask) {
    const Entry& entry = entries_[index_[at] - 1];
    if (entry.hash == hash && entry.name == name) return &entry;
  }
  return nullptr;
}

const MetaVariables::Entry* MetaVariables::Find(std::string_view name) const {
  return entries_.empty() ? nullptr : Find(name, HashOf(name));
}

void MetaVariables::Index(size_t entry) {
  const size_t mask = index_.size() - 1;
  size_t at = entries_[entry].hash & mask;
  while (index_[at] != 0) at = (at + 1) & mask;
  index_[at] = static_cast<uint32_t>(entry + 1);
}

void MetaVariables::Rebuild(size_t slots) {
  index_.assign(slots, 0);
  for (size_t entry = 0; entry < entries_.size(); ++entry) Index(entry);
}

MetaVariables::Entry& MetaVariables::Slot(std::string_view name) {
  if (index_.size() < 2 * (entries_.size() + 1)) Rebuild(std::max(kSlots, 2 * index_.size()));
  const uint32_t hash = HashOf(name);
  const Entry* found = Find(name, hash);
  if (found != nullptr) return entries_[static_cast<size_t>(found - entries_.data())];
  entries_.push_back(Entry{arena_.Copy(name), {}, hash, false});
  Index(entries_.size() - 1);
  return entries_.back();
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
  if (!entries_.empty()) index_.assign(kSlots, 0);
  entries_.clear();
  arena_.Clear();
}

}  // namespace cogi::cgi
