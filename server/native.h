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

namespace cogi::server {

// MakeNativeHandler() makes the handler `name` of the shared object `module` ("": of the server
// itself). Null with `*error` (what, why and the mend) if it cannot be had.
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeNativeHandler(const std::string& module,
                                                              const std::string& name,
                                                              std::string* error);

// NativeNames() is what the server has built in.
[[nodiscard]] std::vector<std::string> NativeNames();

}  // namespace cogi::server

#endif  // COGI_SERVER_NATIVE_H_
