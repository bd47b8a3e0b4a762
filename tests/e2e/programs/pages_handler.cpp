// The pages of pages.c as native handlers, one each.
#include <unistd.h>

#include <string>
#include <string_view>

#include "cgi/handler.h"

namespace {

using cogi::cgi::Handler;
using cogi::cgi::Request;
using cogi::cgi::Response;

struct Echo : Handler {
  void Serve(Request& request, Response& response) override {
    char buffer[4096];
    response.SetHeader("Content-Type", "application/octet-stream");
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) != 0;)
      if (got < 0 || !response.Write({buffer, static_cast<size_t>(got)})) return;
  }
};

struct Environment : Handler {
  void Serve(Request& request, Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    request.ForEachVariable([&response](std::string_view name, std::string_view value) {
      response.Write(std::string(name).append("=").append(value).append("\n"));
    });
  }
};

struct Lines : Handler {
  void Serve(Request& request, Response& response) override {
    const std::string folder(request.query());
    response.SetHeader("Content-Type", "text/plain");
    for (int number = 1; number <= 5; ++number) {
      if (!response.Write(std::to_string(number) + " of 5\n") || !response.Flush()) return;
      const std::string path = folder + '/' + std::to_string(number);
      for (int waits = 0; access(path.c_str(), F_OK) != 0 && waits < 2000; ++waits) usleep(5000);
    }
  }
};

struct Endless : Handler {
  void Serve(Request&, Response& response) override {
    const std::string piece(8192, 'y');
    response.SetHeader("Content-Type", "application/octet-stream");
    while (response.Write(piece)) continue;
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Handler* cogi_handler(const char* name) {
  const std::string_view page = name;
  if (page == "echo") return new Echo;
  if (page == "environment") return new Environment;
  if (page == "lines") return new Lines;
  return page == "endless" ? new Endless : nullptr;
}
