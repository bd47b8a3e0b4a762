// Byte ranges of a file: RFC 9110 14. Pure functions. Never yields.
#ifndef COGI_SERVER_BYTE_RANGES_H_
#define COGI_SERVER_BYTE_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cogi::server {

struct ByteRange {
  uint64_t offset;
  uint64_t length;
};

// More ranges than this in one request are answered with the whole file (CVE-2011-3192).
inline constexpr size_t kMostRanges = 16;

// What a Range field asks of a file of `size` bytes.
struct RangeRequest {
  enum class Kind : uint8_t {
    kWhole,          // no range, or one that is ignored: malformed, another unit, too many, or
                     // ranges that together are more than the file
    kParts,          // `parts` has at least one, in the order asked
    kUnsatisfiable,  // none of them begins within the file: 416
  };
  Kind kind = Kind::kWhole;
  std::vector<ByteRange> parts;
};
[[nodiscard]] RangeRequest ParseRanges(std::string_view field, uint64_t size);

// ContentRange() is the value of that field for a part of a file of `size` bytes.
[[nodiscard]] std::string ContentRange(const ByteRange& part, uint64_t size);

// The frame of a multipart/byteranges body (14.6).
class MultipartRanges {
 public:
  MultipartRanges(std::string_view content_type, std::vector<ByteRange> parts, uint64_t size);

  [[nodiscard]] std::string content_type() const;
  // content_length() is the length of the whole body, frame and parts.
  [[nodiscard]] uint64_t content_length() const;
  [[nodiscard]] const std::vector<ByteRange>& parts() const { return parts_; }
  // HeadOf() is what comes before the `index`th part; tail() what comes after the last.
  [[nodiscard]] std::string HeadOf(size_t index) const;
  [[nodiscard]] std::string tail() const;

 private:
  std::string part_type_;
  std::vector<ByteRange> parts_;
  uint64_t size_;
  std::string boundary_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_BYTE_RANGES_H_
