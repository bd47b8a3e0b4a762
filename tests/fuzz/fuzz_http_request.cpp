// The HTTP front end: whatever the bytes are, how they are split over reads may not change what is
// answered, and every answer is a whole one.
#include <string>
#include <vector>

#include "cgi/http_connection.h"
#include "tests/cgi/scripted_stream.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

using cgi::ScriptedStream;

class Echo final : public cgi::Handler {
 public:
  void Serve(cgi::Request& request, cgi::Response& response) override {
    Promise(!request.path().empty() && request.path().front() == '/', "a path begins with a slash");
    Promise(!request.Variable("HTTP_PROXY"), "HTTP_PROXY is never set");
    std::string seen;
    request.ForEachVariable([&](std::string_view name, std::string_view value) {
      Promise(name.find('=') == std::string_view::npos, "no name has an equals sign");
      Promise(value.find('\0') == std::string_view::npos, "no value has a NUL");
      seen.append(name).append("=").append(value).append("\n");
    });
    char buffer[100];
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) > 0;) {
      seen.append(buffer, static_cast<size_t>(got));
    }
    response.SetHeader("Date", "now");
    response.Write(seen);
  }
};

std::string Serve(std::vector<std::string> pieces) {
  cgi::Limits limits;
  limits.request_line = 200;
  limits.header_block = 1000;
  limits.header_fields = 10;
  limits.body = 2000;
  cgi::ConnectionInfo info{"192.0.2.1", "192.0.2.2", 1, 2};
  info.server_software = "";
  cgi::Events events;
  ScriptedStream stream(std::move(pieces));
  Echo handler;
  cgi::HttpConnection(stream, limits, info, events).Serve(handler);
  // The answers that the front end gives by itself have the time in them.
  for (size_t at = 0; (at = stream.written.find("\r\nDate: ", at)) != std::string::npos; ++at) {
    stream.written.erase(at, stream.written.find("\r\n", at + 2) - at);
  }
  Promise(stream.written.empty() || stream.written.starts_with("HTTP/1.1 "), "answers are HTTP");
  return stream.written;
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  size_t split = 0;
  std::string_view bytes = Input(data, size, split);
  std::string whole = Serve({std::string(bytes)});
  // A client that asked for "100 Continue" and sent its body at once is not told to go on; when the
  // body comes later it is. That one difference is meant.
  if (whole.find("100 Continue") != std::string::npos || bytes.find("100-") != bytes.npos) return 0;
  Promise(Serve(ScriptedStream::Split(bytes, split)) == whole,
          "a split does not change the answer");
  Promise(Serve(ScriptedStream::Singles(bytes)) == whole, "single bytes do not change the answer");
  return 0;
}
