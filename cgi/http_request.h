// HttpRequest: the Request of the HTTP front end. It is the bytes of the header block and views
// into them; meta-variables are made when somebody asks.
#ifndef COGI_CGI_HTTP_REQUEST_H_
#define COGI_CGI_HTTP_REQUEST_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/connection_info.h"
#include "cgi/http_body.h"
#include "cgi/http_head.h"
#include "cgi/http_target.h"
#include "cgi/meta_variables.h"
#include "cgi/request.h"

namespace cogi::cgi {

class HttpRequest final : public Request {
 public:
  explicit HttpRequest(HttpBody& body) : body_(body) {}

  // Start() makes it the request of `head`, whose text begins at `base` and stays there. Returns
  // why it is refused; status 0 if it is not.
  [[nodiscard]] HttpError Start(const HttpHead& head, const char* base, const ConnectionInfo& info);

  // asterisk() is true for "OPTIONS *".
  [[nodiscard]] bool asterisk() const { return target_.form == HttpTarget::Form::kAsterisk; }

  std::string_view method() const override { return View(head_->method); }
  std::string_view target() const override { return View(head_->target); }
  std::string_view path() const override { return path_; }
  std::string_view query() const override { return target_.query; }
  std::string_view Header(std::string_view name) const override;
  std::optional<std::string_view> Variable(std::string_view name) const override;
  void ForEachVariable(
      const std::function<void(std::string_view, std::string_view)>& visit) const override;
  void SetVariable(std::string_view name, std::string_view value) override {
    overlay_.Set(name, value);
  }
  void UnsetVariable(std::string_view name) override { overlay_.Unset(name); }
  std::optional<uint64_t> content_length() const override;
  ssize_t ReadBody(void* buffer, size_t size) override { return body_.Read(buffer, size); }

 private:
  struct Builtin;
  static const Builtin kBuiltins[];

  [[nodiscard]] std::string_view View(HttpHead::Text text) const {
    return {base_ + text.offset, text.size};
  }
  [[nodiscard]] HttpError CheckHost();
  // HTTP/1.0 with an absolute target may have no Host field.
  [[nodiscard]] bool HasHostOfTargetAlone() const { return !head_->has_host && !host_.empty(); }
  [[nodiscard]] HttpError CheckTarget();
  [[nodiscard]] std::string_view Number(uint64_t value) const;
  [[nodiscard]] std::string_view RequestUri() const;
  [[nodiscard]] std::string_view Joined(size_t first) const;
  [[nodiscard]] bool IsRepeat(size_t index) const;
  [[nodiscard]] std::optional<std::string_view> HeaderVariable(std::string_view name) const;

  HttpBody& body_;
  const HttpHead* head_ = nullptr;
  const char* base_ = nullptr;
  const ConnectionInfo* info_ = nullptr;
  HttpTarget target_;
  std::string_view path_;
  std::string_view host_;
  // What routing set, and memory for what is made on demand. Made values never change, so asking
  // is const.
  mutable MetaVariables overlay_;
  mutable std::vector<std::pair<size_t, std::string_view>> joined_;
  mutable std::string name_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_REQUEST_H_
