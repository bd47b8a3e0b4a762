// The native handler "mirror": sends the body back while it comes.
#include <string_view>

#include "cgi/handler.h"

namespace {

class Mirror : public cogi::cgi::Handler {
 public:
  void Serve(cogi::cgi::Request& request, cogi::cgi::Response& response) override {
    char buffer[4096];
    response.SetHeader("Content-Type", "application/octet-stream");
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) != 0;) {
      if (got < 0 || !response.Write({buffer, static_cast<size_t>(got)})) return;
    }
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) cogi::cgi::Handler* cogi_handler(
    const char* name) {
  return std::string_view(name) == "mirror" ? new Mirror : nullptr;
}
