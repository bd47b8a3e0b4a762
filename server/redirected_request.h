// RedirectedRequest: the request that is asked instead of another: after a local redirect (RFC 3875
// 6.2.2) a GET for another path of the same client, without a body; after a rewrite the same
// request for another path. Lives on top of the first one. Yields where that one does.
#ifndef COGI_SERVER_REDIRECTED_REQUEST_H_
#define COGI_SERVER_REDIRECTED_REQUEST_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/request.h"

namespace cogi::server {

class RedirectedRequest final : public cgi::Request {
 public:
  enum class Kind : uint8_t { kRedirect, kRewrite };

  // `location` is a path with an optional query. A rewrite without one keeps the query.
  RedirectedRequest(cgi::Request& original, std::string_view location, Kind kind);

  // valid() is false if the location is no lawful path.
  [[nodiscard]] bool valid() const { return valid_; }
  // HopsOf() counts the redirects that led to `request`.
  [[nodiscard]] static uint32_t HopsOf(const cgi::Request& request);

  [[nodiscard]] std::string_view method() const override {
    return kind_ == Kind::kRewrite ? original_.method() : "GET";
  }
  [[nodiscard]] std::string_view target() const override { return target_; }
  [[nodiscard]] std::string_view path() const override { return path_; }
  [[nodiscard]] std::string_view query() const override { return query_; }
  [[nodiscard]] std::string_view Header(std::string_view name) const override;
  [[nodiscard]] std::optional<std::string_view> Variable(std::string_view name) const override;
  void ForEachVariable(
      const std::function<void(std::string_view, std::string_view)>& visit) const override;
  void SetVariable(std::string_view name, std::string_view value) override;
  void UnsetVariable(std::string_view name) override;
  [[nodiscard]] std::optional<uint64_t> content_length() const override {
    return kind_ == Kind::kRewrite ? original_.content_length() : 0;
  }
  void set_terms(const cgi::Terms& terms) override;
  ssize_t ReadBody(void* buffer, size_t size) override;

 private:
  void ForgetBody();

  cgi::Request& original_;
  const Kind kind_;
  uint32_t hops_;
  bool valid_ = true;
  std::string target_;
  std::string path_;
  std::string query_;
  // Variables that differ from the original's; nullopt: not set.
  std::map<std::string, std::optional<std::string>, std::less<>> changed_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_REDIRECTED_REQUEST_H_
