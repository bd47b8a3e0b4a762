// A request that a test fills in.
#ifndef COGI_TESTS_SERVER_FAKE_REQUEST_H_
#define COGI_TESTS_SERVER_FAKE_REQUEST_H_

#include <map>
#include <string>

#include "cgi/request.h"

namespace cogi::server {

struct FakeRequest final : cgi::Request {
  std::string request_method = "GET", request_target = "/", request_path = "/", request_query;
  std::map<std::string, std::string> headers, variables;

  std::string_view method() const override { return request_method; }
  std::string_view target() const override { return request_target; }
  std::string_view path() const override { return request_path; }
  std::string_view query() const override { return request_query; }
  std::string_view Header(std::string_view name) const override {
    const auto found = headers.find(std::string(name));
    return found == headers.end() ? std::string_view() : found->second;
  }
  std::optional<std::string_view> Variable(std::string_view name) const override {
    const auto found = variables.find(std::string(name));
    if (found == variables.end()) return std::nullopt;
    return found->second;
  }
  void ForEachVariable(
      const std::function<void(std::string_view, std::string_view)>& visit) const override {
    for (const auto& [name, value] : variables) visit(name, value);
  }
  void SetVariable(std::string_view name, std::string_view value) override {
    variables[std::string(name)] = value;
  }
  void UnsetVariable(std::string_view name) override { variables.erase(std::string(name)); }
  std::optional<uint64_t> content_length() const override { return 0; }
  ssize_t ReadBody(void*, size_t) override { return 0; }
};

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_FAKE_REQUEST_H_
