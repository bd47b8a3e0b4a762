#include "server/program/environment.h"

#include <algorithm>
#include <cstring>

namespace cogi::server {
namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kSmallest = 1024;
constexpr size_t kKeptSize = 64 * 1024;  // a larger block is given back

}  // namespace

char* EnvironmentBlock::Room(size_t size) {
  if (size > capacity_ - size_) {
    const size_t capacity = std::max({kSmallest, 2 * capacity_, size_ + size});
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ != 0) std::memcpy(larger.get(), text_.get(), size_);
    text_ = std::move(larger);
    capacity_ = capacity;
  }
  return text_.get() + size_;
}

// What a C string cannot hold has no place in an environment.
void EnvironmentBlock::Add(std::string_view name, std::string_view value) {
  const size_t size = name.size() + 1 + value.size();
  char* at = Room(size + 1);
  name.copy(at, name.size());
  at[name.size()] = '=';
  value.copy(at + name.size() + 1, value.size());
  at[size] = '\0';
  if (name.empty() || std::memchr(at, '=', size) != at + name.size() ||
      std::memchr(at, '\0', size + 1) != at + size)
    return;
  offsets_.push_back(size_);
  size_ += size + 1;
}

bool EnvironmentBlock::Has(std::string_view name) const {
  for (const size_t offset : offsets_) {
    const char* at = text_.get() + offset;  // ended by a 0, and not empty
    if (at[0] == name[0] && std::strncmp(at, name.data(), name.size()) == 0 &&
        at[name.size()] == '=')
      return true;
  }
  return false;
}

void EnvironmentBlock::Clear() {
  if (capacity_ > kKeptSize) {
    text_.reset();
    capacity_ = 0;
  }
  size_ = 0;
  offsets_.clear();
  variables_.clear();
}

void EnvironmentBlock::Build(const cgi::Request& request,
                             const std::vector<std::pair<std::string, std::string>>& extra,
                             std::string_view name) {
  Clear();
  request.ForEachVariable(
      [this](std::string_view variable, std::string_view value) { Add(variable, value); });
  Complete(extra, name);
}

void EnvironmentBlock::BuildBare(const std::vector<std::pair<std::string, std::string>>& extra,
                                 std::string_view name) {
  Clear();
  Complete(extra, name);
}

void EnvironmentBlock::Complete(const std::vector<std::pair<std::string, std::string>>& extra,
                                std::string_view name) {
  for (const auto& [variable, value] : extra)
    if (!Has(variable)) Add(variable, value);
  if (!Has("PATH")) Add("PATH", kPath);
  char* argument = Room(name.size() + 1);
  argument[name.copy(argument, name.size())] = '\0';
  size_ += name.size() + 1;

  // The text does not move any more.
  for (const size_t offset : offsets_) variables_.push_back(text_.get() + offset);
  variables_.push_back(nullptr);
  arguments_[0] = argument;
}

}  // namespace cogi::server
