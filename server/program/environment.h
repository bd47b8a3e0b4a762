// EnvironmentBlock: the environment and the arguments that a program is started with, in two blocks
// of memory that are kept from request to request.
#ifndef COGI_SERVER_PROGRAM_ENVIRONMENT_H_
#define COGI_SERVER_PROGRAM_ENVIRONMENT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/request.h"

namespace cogi::server {

class EnvironmentBlock {
 public:
  // Build() makes the variables of `request`, then those of `extra` that it does not set, then
  // PATH; and argv with `name` alone (RFC 3875 4.4's search words are not passed: CVE-2012-1823).
  void Build(const cgi::Request& request,
             const std::vector<std::pair<std::string, std::string>>& extra, std::string_view name);

  // BuildBare() makes those of a program that is started before any request: `extra` and PATH.
  void BuildBare(const std::vector<std::pair<std::string, std::string>>& extra,
                 std::string_view name);

  [[nodiscard]] char** variables() { return variables_.data(); }
  [[nodiscard]] char** arguments() { return arguments_; }
  // bytes() is the size of all strings with their ends.
  [[nodiscard]] size_t bytes() const { return size_; }

 private:
  void Clear();
  // Room() is where `size` more bytes of text go.
  [[nodiscard]] char* Room(size_t size);
  void Add(std::string_view name, std::string_view value);
  void Complete(const std::vector<std::pair<std::string, std::string>>& extra,
                std::string_view name);
  [[nodiscard]] bool Has(std::string_view name) const;

  std::unique_ptr<char[]> text_;
  size_t size_ = 0;
  size_t capacity_ = 0;
  std::vector<size_t> offsets_;
  std::vector<char*> variables_;
  char* arguments_[2] = {nullptr, nullptr};
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_ENVIRONMENT_H_
