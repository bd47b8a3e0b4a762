#include "server/program/environment.h"

#include <algorithm>
#include <cstring>

namespace cogi::server {
namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kKeptSize = 64 * 1024;  // a larger block is given back

// What a C string cannot hold has no place in an environment.
bool IsVariable(std::string_view name, std::string_view value) {
  for (const char c : name)
    if (c == '=' || c == '\0') return false;
  return !name.empty() && (value.empty() || std::memchr(value.data(), 0, value.size()) == nullptr);
}

}  // namespace

void EnvironmentBlock::Add(std::string_view name, std::string_view value) {
  if (!IsVariable(name, value)) return;
  const size_t offset = text_.size();
  offsets_.push_back(offset);
  text_.resize(offset + name.size() + value.size() + 2);
  char* at = text_.data() + offset;
  at = std::copy(name.begin(), name.end(), at);
  *at++ = '=';
  std::copy(value.begin(), value.end(), at);  // ended by the 0 of resize()
}

bool EnvironmentBlock::Has(std::string_view name) const {
  for (const size_t offset : offsets_)
    if (text_.compare(offset, name.size(), name) == 0 && text_[offset + name.size()] == '=')
      return true;
  return false;
}

void EnvironmentBlock::Clear() {
  if (text_.capacity() > kKeptSize) std::string().swap(text_);
  text_.clear();
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
  const size_t argument = text_.size();
  text_.append(name).append(1, '\0');

  // The text does not move any more.
  for (const size_t offset : offsets_) variables_.push_back(text_.data() + offset);
  variables_.push_back(nullptr);
  arguments_[0] = text_.data() + argument;
}

}  // namespace cogi::server
