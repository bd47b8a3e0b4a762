#include "server/native.h"

#include <dlfcn.h>

#include "server/status.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// The smallest answer there is: for the first try, and for measuring the server itself.
class Hello final : public cgi::Handler {
 public:
  void Serve(cgi::Request&, cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    response.Write("hello\n");
  }
};

// Answers with the request's body and type: what an upload test compares.
class Echo final : public cgi::Handler {
 public:
  void Serve(cgi::Request& request, cgi::Response& response) override {
    const std::string_view type = request.Header("Content-Type");
    response.SetHeader("Content-Type", type.empty() ? "application/octet-stream" : type);
    if (const auto length = request.content_length())
      response.SetHeader("Content-Length", Concat(*length));
    std::string piece(16 << 10, '\0');
    for (;;) {
      const ssize_t got = request.ReadBody(piece.data(), piece.size());
      if (got == 0) return;
      if (got < 0 || !response.Write({piece.data(), static_cast<size_t>(got)})) break;
    }
    if (!response.Reset()) response.Abort();
    response.SetStatus(400);
  }
};

struct BuiltIn {
  const char* name;
  std::unique_ptr<cgi::Handler> (*make)(const ServerView& view);
};

template <class Kind>
std::unique_ptr<cgi::Handler> Make(const ServerView&) {
  return std::make_unique<Kind>();
}

constexpr BuiltIn kBuiltIn[] = {{"echo", Make<Echo>},
                                {"healthz", MakeHealth},
                                {"hello", Make<Hello>},
                                {"metrics", MakeMetrics},
                                {"status", MakeStatus}};

std::unique_ptr<cgi::Handler> MakeFromModule(const std::string& module, const std::string& name,
                                             std::string* error) {
  void* library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *error = Concat("the module ", module, " cannot be loaded: ", dlerror());
    return nullptr;
  }
  using Factory = cgi::Handler* (*)(const char*);
  const auto factory = reinterpret_cast<Factory>(dlsym(library, "cogi_handler"));
  if (factory == nullptr) {
    *error = Concat("the module ", module,
                    " has no function cogi_handler(); it must be extern \"C\" and visible");
    dlclose(library);
    return nullptr;
  }
  // The module stays loaded as long as the worker: its handlers' code is in it.
  std::unique_ptr<cgi::Handler> handler(factory(name.c_str()));
  if (handler == nullptr)
    *error = Concat("the module ", module, " knows no handler \"", name, "\"");
  return handler;
}

}  // namespace

std::unique_ptr<cgi::Handler> MakeNativeHandler(const std::string& module, const std::string& name,
                                                const ServerView& view, std::string* error) {
  if (!module.empty()) return MakeFromModule(module, name, error);
  std::string known;
  for (const BuiltIn& candidate : kBuiltIn) {
    if (name == candidate.name) return candidate.make(view);
    known += known.empty() ? "" : ", ";
    known += candidate.name;
  }
  *error = Concat("there is no native handler \"", name, "\"; the server has: ", known,
                  "; one of your own needs \"module\"");
  return nullptr;
}

std::vector<std::string> NativeNames() {
  std::vector<std::string> names;
  for (const BuiltIn& handler : kBuiltIn) names.emplace_back(handler.name);
  return names;
}

}  // namespace cogi::server
