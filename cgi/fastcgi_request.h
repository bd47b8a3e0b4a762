// FastCgiRequest: the Request of the FastCGI front end: the parameters that the web server sent are
// its meta-variables. SCGI's, too: it differs only in how they come.
#ifndef COGI_CGI_FASTCGI_REQUEST_H_
#define COGI_CGI_FASTCGI_REQUEST_H_

#include <functional>
#include <optional>
#include <string_view>

#include "cgi/body_source.h"
#include "cgi/export.h"
#include "cgi/http_head.h"
#include "cgi/meta_variables.h"
#include "cgi/request.h"

namespace cogi::cgi {

class COGI_API FastCgiRequest final : public Request {
 public:
  // StartOver() empties it for the next request, whose body comes from `body`.
  void StartOver(BodySource& body);
  // variables() is where the front end puts the parameters.
  [[nodiscard]] MetaVariables& variables() { return variables_; }
  // Complete() is called when all parameters are there. Returns why the request is refused; status
  // 0 if it is not.
  [[nodiscard]] HttpError Complete();

  std::string_view method() const override { return method_; }
  std::string_view target() const override { return target_; }
  std::string_view path() const override { return path_; }
  std::string_view query() const override { return query_; }
  std::string_view Header(std::string_view name) const override;
  std::optional<std::string_view> Variable(std::string_view name) const override {
    return variables_.Get(name);
  }
  void ForEachVariable(
      const std::function<void(std::string_view, std::string_view)>& visit) const override;
  void SetVariable(std::string_view name, std::string_view value) override {
    variables_.Set(name, value);
  }
  void UnsetVariable(std::string_view name) override { variables_.Unset(name); }
  std::optional<uint64_t> content_length() const override { return content_length_; }
  ssize_t ReadBody(void* buffer, size_t size) override {
    return body_->ReadBody(buffer, size, content_length_);
  }
  [[nodiscard]] bool SpoolBody() { return body_->SpoolBody(content_length_); }
  ssize_t ReadData(void* buffer, size_t size) override { return body_->ReadData(buffer, size); }

 private:
  [[nodiscard]] std::string_view Text(std::string_view name) const {
    return variables_.Get(name).value_or(std::string_view());
  }
  [[nodiscard]] HttpError FindPath();
  void FindTarget();

  BodySource* body_ = nullptr;
  MetaVariables variables_;
  std::string_view method_;
  std::string_view target_;
  std::string_view path_;
  std::string_view query_;
  std::optional<uint64_t> content_length_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_FASTCGI_REQUEST_H_
