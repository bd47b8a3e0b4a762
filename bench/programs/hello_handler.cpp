// The native handler of bench/hello.py: "hello" and a header of NAME bytes that fills up the
// difference to the peer's answer.
#include <cstdlib>
#include <string>

#include "cgi/handler.h"

namespace {

class Hello : public cogi::cgi::Handler {
 public:
  explicit Hello(size_t filler) : filler_(filler, 'x') {}

  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    if (!filler_.empty()) response.SetHeader("X", filler_);
    response.Write("hello\n");
  }

 private:
  std::string filler_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) cogi::cgi::Handler* cogi_handler(
    const char* name) {
  return new Hello(std::strtoul(name, nullptr, 10));
}
