// NormalizePath: the path of a request target, decoded once and without dot segments, so that it
// can be matched with routes and joined to a root (RFC 3986 5.2.4, 6.2.2).
#ifndef COGI_CGI_PATH_NORMALIZER_H_
#define COGI_CGI_PATH_NORMALIZER_H_

#include <cstddef>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

enum class PathError : unsigned char {
  kNone,
  kNotAbsolute,   // does not begin with "/"
  kBadCharacter,  // a control character, space, "#" or "\", encoded (then only NUL, CR, LF) or raw
  kBadEscape,     // "%" without two hexadecimal digits
  kEncodedSlash,  // %2F: servers disagree on what it means, so nothing behind it can be trusted
  kAboveRoot,     // ".." leads above "/"
};

// NormalizePath() writes the normal form of `raw` (the path of a target, without query) to `out`,
// which has room for raw.size() bytes, and its length to `size`. Escapes are decoded exactly once:
// %252e becomes the literal text "%2e". "." and ".." segments are resolved (encoded ones too),
// empty segments are merged ("//" becomes "/"); a trailing slash stays. Bytes above 0x7f stay as
// they are. With `decode` false "%" is an ordinary character: for paths that a web server decoded
// already.
[[nodiscard]] COGI_API PathError NormalizePath(std::string_view raw, char* out, size_t& size,
                                               bool decode = true);

// IsNormalPath() is true if NormalizePath() would give back `raw` itself.
[[nodiscard]] COGI_API bool IsNormalPath(std::string_view raw);

// Describe() says what is wrong, in one sentence.
[[nodiscard]] COGI_API const char* Describe(PathError error);

}  // namespace cogi::cgi

#endif  // COGI_CGI_PATH_NORMALIZER_H_
