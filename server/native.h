// Native handlers: C++ objects that answer requests, found by name: built into the server, or made
// by a shared object that has
//
//   extern "C" __attribute__((visibility("default")))
//   cogi::cgi::Handler* cogi_handler(const char* name);
//
// which returns a new handler (the server deletes it), or null for a name that it does not know.
// Such a module links libcogi.so. Made in each worker, before it serves. Never yields.
#ifndef COGI_SERVER_NATIVE_H_
#define COGI_SERVER_NATIVE_H_

#include <memory>
#include <string>
#include <vector>

#include "cgi/handler.h"
#include "server/scoreboard.h"

namespace cogi::server {

// What the built-in handlers can see of the server. Lives as long as the worker.
struct ServerView {
  const Scoreboards& scoreboards;
  const bool& draining;
};

// MakeNativeHandler() makes the handler `name` of the shared object `module` ("": of the server
// itself). Null with `*error` (what, why and the mend) if it cannot be had. Built in are
//   hello    the smallest answer
//   echo     the request's body
//   healthz  200 "ok", or 503 "draining"
//   status   the counters of all pools and workers as JSON
//   metrics  the same as Prometheus reads them (text format 0.0.4)
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeNativeHandler(const std::string& module,
                                                              const std::string& name,
                                                              const ServerView& view,
                                                              std::string* error);

// NativeNames() is what the server has built in.
[[nodiscard]] std::vector<std::string> NativeNames();

}  // namespace cogi::server

#endif  // COGI_SERVER_NATIVE_H_
