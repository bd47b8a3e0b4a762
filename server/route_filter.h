// RouteFilter: what a route does to every answer that leaves by it, a program's as well as the
// server's own: its headers, and compression. Never yields.
#ifndef COGI_SERVER_ROUTE_FILTER_H_
#define COGI_SERVER_ROUTE_FILTER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/request.h"
#include "cgi/response.h"
#include "config/settings.h"
#include "server/content_coding.h"

namespace cogi::server {

class RouteFilter final : public cgi::ResponseFilter {
 public:
  // `route` must outlive the filter; of `request` only what the client accepts is kept.
  RouteFilter(const config::Route& route, const cgi::Request& request);

  // IsNeeded() is false if a filter of `route` would change nothing.
  [[nodiscard]] static bool IsNeeded(const config::Route& route);

  bool Start(cgi::Response& response, std::optional<uint64_t> length) override;
  void Body(std::string_view bytes, Then then, std::string& out) override;

 private:
  const config::Route& route_;
  const Coding coding_;
  std::unique_ptr<Encoder> encoder_;
  cgi::Response* response_ = nullptr;
};

// VaryByEncoding() adds Accept-Encoding to the Vary field of `response`, if it is not there.
void VaryByEncoding(cgi::Response& response);

}  // namespace cogi::server

#endif  // COGI_SERVER_ROUTE_FILTER_H_
