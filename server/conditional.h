// Conditional and range requests for a file: RFC 9110 8.8 (validators), 13 (conditions), 14
// (ranges). Pure functions. Never yields.
#ifndef COGI_SERVER_CONDITIONAL_H_
#define COGI_SERVER_CONDITIONAL_H_

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cgi/request.h"
#include "server/byte_ranges.h"

namespace cogi::server {

// A short text without an allocation.
struct ShortText {
  std::array<char, 64> bytes;
  size_t size = 0;
  [[nodiscard]] std::string_view view() const { return {bytes.data(), size}; }
};

struct Validators {
  ShortText last_modified;  // an IMF-fixdate
  ShortText etag;           // strong: from modification time in nanoseconds, size and inode
};

[[nodiscard]] Validators ValidatorsOf(const struct stat& status);

// What of the file is to be sent.
struct Selection {
  int status = 200;  // 200, 206, 304, 412 or 416
  uint64_t offset = 0;
  uint64_t length = 0;
  std::vector<ByteRange> parts{};  // of a 206 with several; offset and length then say nothing
};

// Select() applies If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, Range and
// If-Range, in the order of RFC 9110 13.2.2. A Range that byte_ranges.h ignores is answered with
// the whole file (14.2).
[[nodiscard]] Selection Select(const cgi::Request& request, const Validators& validators,
                               const struct stat& status, uint64_t size);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONDITIONAL_H_
