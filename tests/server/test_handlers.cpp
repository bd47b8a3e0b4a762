// Native handlers for the tests: some that misbehave, and one that tells what it was asked.
#include <unistd.h>

#include <cstring>

#include "cgi/handler.h"

namespace {

// Computes for ever without one call that could yield.
struct Spin : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response&) override {
    volatile unsigned long count = 0;
    for (;;) count = count + 1;
  }
};

// Waits for longer than any test.
struct Sleep : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.Write(sleep(600) == 0 ? "slept\n" : "woken\n");
  }
};

struct Throw : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.Write("never seen");
    throw 42;
  }
};

// "NAME=value" lines of all meta-variables.
struct Variables : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request& request, cogi::cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    request.ForEachVariable([&](std::string_view name, std::string_view value) {
      response.Write(std::string(name).append("=").append(value).append("\n"));
    });
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) cogi::cgi::Handler* cogi_handler(
    const char* name) {
  if (std::strcmp(name, "spin") == 0) return new Spin;
  if (std::strcmp(name, "sleep") == 0) return new Sleep;
  if (std::strcmp(name, "throw") == 0) return new Throw;
  if (std::strcmp(name, "variables") == 0) return new Variables;
  return nullptr;
}
