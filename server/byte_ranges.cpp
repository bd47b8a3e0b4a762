#include "server/byte_ranges.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cgi/field_list.h"
#include "cgi/http_syntax.h"
#include "server/text.h"

namespace cogi::server {
namespace {

using cgi::ParseLength;
using cgi::TrimWhitespace;
using Kind = RangeRequest::Kind;

// One range-spec. kParts with `part` filled; kUnsatisfiable; kWhole: it is malformed.
Kind ParseOne(std::string_view spec, uint64_t size, ByteRange& part) {
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return Kind::kWhole;
  const std::string_view first_text = TrimWhitespace(spec.substr(0, dash));
  const std::string_view last_text = TrimWhitespace(spec.substr(dash + 1));
  const auto first = ParseLength(first_text);
  const auto last = ParseLength(last_text);
  if ((!first_text.empty() && !first) || (!last_text.empty() && !last)) return Kind::kWhole;
  if (!first && !last) return Kind::kWhole;
  if (!first) {  // the last so many bytes
    if (*last == 0 || size == 0) return Kind::kUnsatisfiable;
    const uint64_t length = std::min(*last, size);
    part = {size - length, length};
    return Kind::kParts;
  }
  if (last && *last < *first) return Kind::kWhole;
  if (*first >= size) return Kind::kUnsatisfiable;
  const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  part = {*first, end - *first + 1};
  return Kind::kParts;
}

}  // namespace

RangeRequest ParseRanges(std::string_view field, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (field.size() < kUnit.size() || !cgi::EqualIgnoringCase(field.substr(0, kUnit.size()), kUnit))
    return {};
  field.remove_prefix(kUnit.size());
  RangeRequest request;
  uint64_t total = 0;
  size_t count = 0;
  while (!field.empty()) {
    const size_t comma = std::min(field.find(','), field.size());
    const std::string_view spec = TrimWhitespace(field.substr(0, comma));
    field.remove_prefix(std::min(comma + 1, field.size()));
    if (spec.empty()) continue;  // an empty element of a list (5.6.1.2)
    ByteRange part{};
    const Kind kind = ParseOne(spec, size, part);
    if (kind == Kind::kWhole || ++count > kMostRanges) return {};
    if (kind == Kind::kUnsatisfiable) continue;
    total += part.length;
    request.parts.push_back(part);
  }
  if (count == 0 || (request.parts.size() > 1 && total > size)) return {};
  request.kind = request.parts.empty() ? Kind::kUnsatisfiable : Kind::kParts;
  return request;
}

std::string ContentRange(const ByteRange& part, uint64_t size) {
  return Concat("bytes ", part.offset, "-", part.offset + part.length - 1, "/", size);
}

MultipartRanges::MultipartRanges(std::string_view content_type, std::vector<ByteRange> parts,
                                 uint64_t size)
    : part_type_(content_type), parts_(std::move(parts)), size_(size) {
  // Random, so that nobody can lay it into a file.
  std::array<unsigned char, 16> random{};
  if (getrandom(random.data(), random.size(), GRND_NONBLOCK) < 0) random.fill(0x5a);
  for (const unsigned char byte : random) {
    boundary_ += "0123456789abcdef"[byte >> 4];
    boundary_ += "0123456789abcdef"[byte & 15];
  }
}

std::string MultipartRanges::content_type() const {
  return Concat("multipart/byteranges; boundary=", boundary_);
}

uint64_t MultipartRanges::content_length() const {
  uint64_t length = tail().size();
  for (size_t index = 0; index < parts_.size(); ++index)
    length += HeadOf(index).size() + parts_[index].length;
  return length;
}

std::string MultipartRanges::HeadOf(size_t index) const {
  return Concat("\r\n--", boundary_, "\r\nContent-Type: ", part_type_,
                "\r\nContent-Range: ", ContentRange(parts_[index], size_), "\r\n\r\n");
}

std::string MultipartRanges::tail() const { return Concat("\r\n--", boundary_, "--\r\n"); }

}  // namespace cogi::server
