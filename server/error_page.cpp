#include "server/error_page.h"

#include <string>

#include "cgi/http_status.h"
#include "server/text.h"

namespace cogi::server {

void AnswerError(cgi::Request& request, cgi::Response& response, int status,
                 std::string_view detail) {
  if (!response.Reset()) {
    response.Abort();
    return;
  }
  const std::string title = Concat(status, " ", cgi::StandardReason(status));
  std::string page =
      Concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", title,
             "</title></head>\n<body><h1>", title, "</h1>");
  if (!detail.empty()) {
    page += "<p>";
    EscapeHtml(page, detail);
    page += "</p>";
  }
  if (!request.id().empty()) {
    page += "<p>Request ";
    EscapeHtml(page, request.id());
    page += "</p>";
  }
  page += "</body></html>\n";
  response.SetStatus(status);
  response.SetHeader("Content-Type", "text/html; charset=utf-8");
  response.MarkPlaceholder();
  if (status == 503) response.SetHeader("Retry-After", "1");
  response.Write(page);
}

}  // namespace cogi::server
