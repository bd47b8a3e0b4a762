// The FastCGI front end: whatever the bytes are, what is written are whole lawful records, each
// request is ended at most once, and how the bytes are split may not change the answers.
#include <string>
#include <vector>

#include "cgi/fastcgi_connection.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/scripted_stream.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

using cgi::ScriptedStream;

class Echo final : public cgi::Handler {
 public:
  void Serve(cgi::Request& request, cgi::Response& response) override {
    Promise(!request.Variable("HTTP_PROXY"), "HTTP_PROXY is never set");
    std::string seen(request.path());
    request.ForEachVariable([&](std::string_view name, std::string_view value) {
      Promise(!name.empty() && name.find('=') == std::string_view::npos, "names are lawful");
      Promise(value.find('\0') == std::string_view::npos, "no value has a NUL");
      seen.append(name).append("=").append(value).append("\n");
    });
    char buffer[100];
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) > 0;) {
      seen.append(buffer, static_cast<size_t>(got));
    }
    for (ssize_t got; (got = request.ReadData(buffer, sizeof buffer)) > 0;) {
      seen.append(buffer, static_cast<size_t>(got));
    }
    response.Write(seen);
  }
};

std::string Serve(std::vector<std::string> pieces) {
  cgi::Limits limits;
  limits.params_bytes = 1000;
  limits.params_pairs = 20;
  limits.body = 2000;
  cgi::ConnectionInfo info;
  cgi::Events events;
  ScriptedStream stream(std::move(pieces));
  Echo handler;
  cgi::FastCgiConnection(stream, limits, info, events).Serve(handler);
  return stream.written;
}

// The answers of a connection without the order in which management records are interleaved: these
// are answered at the moment they are read.
std::string Canonical(const std::string& written) {
  std::string canonical, management;
  std::string_view rest = written;
  while (!rest.empty()) {
    Promise(rest.size() >= cgi::fcgi::kHeaderSize, "records are whole");
    auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(rest[i])); };
    size_t size = cgi::fcgi::kHeaderSize + (byte(4) << 8 | byte(5)) + byte(6);
    Promise(byte(0) == 1 && rest.size() >= size, "records are whole");
    (byte(2) == 0 && byte(3) == 0 ? management : canonical).append(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return canonical + management;
}

}  // namespace
}  // namespace cogi::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  size_t split = 0;
  std::string_view bytes = Input(data, size, split);
  std::string whole = Canonical(Serve({std::string(bytes)}));
  Promise(Canonical(Serve(ScriptedStream::Split(bytes, split))) == whole,
          "a split does not change the answers");
  Promise(Canonical(Serve(ScriptedStream::Singles(bytes))) == whole,
          "single bytes do not change the answers");
  return 0;
}
