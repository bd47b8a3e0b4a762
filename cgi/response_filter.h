// ResponseFilter: what is done to an answer on its way out, whoever made it: fields that a route
// adds, a content coding. One per answer that needs it; the response owns it.
#ifndef COGI_CGI_RESPONSE_FILTER_H_
#define COGI_CGI_RESPONSE_FILTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

class Response;

class COGI_API ResponseFilter {
 public:
  virtual ~ResponseFilter() = default;

  // Start() is called once, right before the head is sent: the last moment for status and fields.
  // `length` is the length of the body in bytes, nullopt if it is not known. Returns whether Body()
  // is to be asked what becomes of the body; its length is then what comes of it. Never yields.
  [[nodiscard]] virtual bool Start(Response& response, std::optional<uint64_t> length) = 0;

  // Body() appends to `out` what becomes of the next piece of the body. kKeep: it may hold bytes
  // back; kFlush: the client must be able to read all that was given so far; kEnd: nothing follows.
  // Never yields.
  enum class Then : uint8_t { kKeep, kFlush, kEnd };
  virtual void Body(std::string_view bytes, Then then, std::string& out) = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_RESPONSE_FILTER_H_
