// A native handler of somebody else.
#include "cgi/handler.h"

namespace {
struct Hello : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    response.Write("hello\n");
  }
};
}  // namespace

int main() {
  Hello hello;
  cogi::cgi::Handler& handler = hello;
  return dynamic_cast<Hello*>(&handler) == nullptr ? 1 : 0;
}
