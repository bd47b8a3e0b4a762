#include "cgi/cgi_head.h"

#include <charconv>

#include "cgi/http_status.h"

namespace cogi::cgi {
namespace {

void AppendNumber(std::string& out, uint64_t value) {
  char text[20];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

bool NeedsNoBuffering(const Response& response) {
  constexpr std::string_view kType = "text/event-stream";
  std::string_view type = response.Header("Content-Type").value_or(std::string_view());
  return type.size() >= kType.size() && EqualIgnoringCase(type.substr(0, kType.size()), kType) &&
         !response.Header("X-Accel-Buffering");
}

void AppendCgiHead(std::string& out, const Response& response, std::optional<uint64_t> length) {
  out += "Status: ";
  AppendNumber(out, static_cast<uint64_t>(response.status()));
  out += ' ';
  out += response.reason().empty() ? StandardReason(response.status()) : response.reason();
  out += "\r\n";
  for (size_t i = 0; i < response.fields().size(); ++i) {
    FieldView field = response.fields()[i];
    if (EqualIgnoringCase(field.name, "content-length")) continue;
    // A field of this name would be taken for the status line's.
    if (EqualIgnoringCase(field.name, "status")) continue;
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  int status = response.status();
  if (length && status != 204 && (status != 304 || *length > 0)) {
    out += "Content-Length: ";
    AppendNumber(out, *length);
    out += "\r\n";
  }
  if (NeedsNoBuffering(response)) out += kNoBuffering;
  out += "\r\n";
}

}  // namespace cogi::cgi
