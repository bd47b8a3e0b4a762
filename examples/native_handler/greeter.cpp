// A native handler: C++ that answers requests without a program around it. The server loads the
// shared object once per worker and calls Serve() for each request, each in its own coroutine;
// blocking calls in it suspend that coroutine only. See cogi.json beside this file for its routes.
#include <poll.h>

#include <string>
#include <string_view>

#include "cgi/handler.h"

namespace {

using cogi::cgi::Handler;
using cogi::cgi::Request;
using cogi::cgi::Response;

// Hello answers the same few bytes to everybody.
class Hello : public Handler {
 public:
  void Serve(Request&, Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    response.Write("hello\n");
  }
};

// Counter is shared by all requests of a worker, and says so.
class Counter : public Handler {
 public:
  void Serve(Request& request, Response& response) override {
    const int visit = ++visits_;
    const int running = ++running_;
    poll(nullptr, 0, 20);  // wait, as for a database
    --running_;
    response.SetHeader("Content-Type", "text/plain; charset=utf-8");
    response.Write("visit " + std::to_string(visit) + " to " + std::string(request.path()) + ", " +
                   std::to_string(running) + " at once\n");
  }

 private:
  int visits_ = 0;  // no lock: one worker is one thread, and nothing yields in between
  int running_ = 0;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Handler* cogi_handler(const char* name) {
  const std::string_view wanted = name;
  if (wanted == "hello") return new Hello;
  if (wanted == "counter") return new Counter;
  return nullptr;
}
