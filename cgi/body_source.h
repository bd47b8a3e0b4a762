// BodySource: where the body of a FastCGI or SCGI request comes from.
#ifndef COGI_CGI_BODY_SOURCE_H_
#define COGI_CGI_BODY_SOURCE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cgi/export.h"

namespace cogi::cgi {

class COGI_API BodySource {
 public:
  virtual ~BodySource() = default;
  // ReadBody() as Request::ReadBody(), of a body of `length` bytes (nullopt: unknown). May
  // yield.
  [[nodiscard]] virtual ssize_t ReadBody(void* buffer, size_t size,
                                         std::optional<uint64_t> length) = 0;
  // SpoolBody() reads what has not been read of that body, and keeps it for ReadBody(). False with
  // errno if it cannot be read. May yield.
  [[nodiscard]] virtual bool SpoolBody(std::optional<uint64_t> length) = 0;
  // ReadData() as Request::ReadData(). May yield.
  [[nodiscard]] virtual ssize_t ReadData(void* buffer, size_t size) = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_BODY_SOURCE_H_
