#include "server/error_page.h"

#include <string>

#include "server/text.h"

namespace cogi::server {

std::string_view StatusText(int status) {
  switch (status) {
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Error";
  }
}

void AnswerError(cgi::Request& request, cgi::Response& response, int status,
                 std::string_view detail) {
  if (!response.Reset()) {
    response.Abort();
    return;
  }
  const std::string title = Concat(status, " ", StatusText(status));
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
  if (status == 503) response.SetHeader("Retry-After", "1");
  response.Write(page);
}

}  // namespace cogi::server
