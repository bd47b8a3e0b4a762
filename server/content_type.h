// Content types by file suffix. Thread-safe. Never yields.
#ifndef COGI_SERVER_CONTENT_TYPE_H_
#define COGI_SERVER_CONTENT_TYPE_H_

#include <string_view>

namespace cogi::server {

// ContentTypeOf() is the media type of a file by its name's suffix, any case, with the charset
// where text needs one; application/octet-stream for an unknown one.
[[nodiscard]] std::string_view ContentTypeOf(std::string_view path);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONTENT_TYPE_H_
