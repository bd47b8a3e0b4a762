#include "server/conditional.h"

#include <charconv>
#include <string>
#include <utility>

#include "cgi/http_date.h"
#include "cgi/http_syntax.h"
#include "server/byte_ranges.h"

namespace cogi::server {
namespace {

using cgi::TrimWhitespace;

void AppendHex(ShortText& text, uint64_t number) {
  char* begin = text.bytes.data() + text.size;
  text.size = static_cast<size_t>(
      std::to_chars(begin, text.bytes.data() + text.bytes.size(), number, 16).ptr -
      text.bytes.data());
}

void AppendChar(ShortText& text, char character) { text.bytes[text.size++] = character; }

// Whether one of the entity tags in `list` is `etag`. A weak tag never matches strongly.
bool ListHasTag(std::string_view list, std::string_view etag, bool weakly) {
  if (TrimWhitespace(list) == "*") return true;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view tag = TrimWhitespace(list.substr(0, comma));
    if (weakly && tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// The parts of the file that the Range field asks for.
Selection SelectRange(std::string_view field, uint64_t size) {
  RangeRequest range = ParseRanges(field, size);
  switch (range.kind) {
    case RangeRequest::Kind::kWhole:
      return {200, 0, size, {}};
    case RangeRequest::Kind::kUnsatisfiable:
      return {416, 0, 0, {}};
    case RangeRequest::Kind::kParts:
      break;
  }
  if (range.parts.size() > 1) return {206, 0, 0, std::move(range.parts)};
  return {206, range.parts[0].offset, range.parts[0].length, {}};
}

bool RangeStillHolds(const cgi::Request& request, const Validators& validators) {
  const std::string_view condition = request.Header("If-Range");
  if (condition.empty()) return true;
  return condition == validators.etag.view() || condition == validators.last_modified.view();
}

}  // namespace

Validators ValidatorsOf(const struct stat& status) {
  Validators made;
  cgi::FormatHttpDate(status.st_mtim.tv_sec, made.last_modified.bytes.data());
  made.last_modified.size = cgi::kHttpDateSize;
  AppendChar(made.etag, '"');
  AppendHex(made.etag, static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                           static_cast<uint64_t>(status.st_mtim.tv_nsec));
  AppendChar(made.etag, '-');
  AppendHex(made.etag, static_cast<uint64_t>(status.st_size));
  AppendChar(made.etag, '-');
  AppendHex(made.etag, static_cast<uint64_t>(status.st_ino));
  AppendChar(made.etag, '"');
  return made;
}

Selection Select(const cgi::Request& request, const Validators& validators,
                 const struct stat& status, uint64_t size) {
  const std::string_view if_match = request.Header("If-Match");
  if (!if_match.empty()) {
    if (!ListHasTag(if_match, validators.etag.view(), false)) return {412, 0, 0, {}};
  } else if (const auto since = cgi::ParseHttpDate(request.Header("If-Unmodified-Since"))) {
    if (status.st_mtim.tv_sec > *since) return {412, 0, 0, {}};
  }
  const std::string_view if_none_match = request.Header("If-None-Match");
  if (!if_none_match.empty()) {
    if (ListHasTag(if_none_match, validators.etag.view(), true)) return {304, 0, 0, {}};
  } else if (const auto since = cgi::ParseHttpDate(request.Header("If-Modified-Since"))) {
    if (status.st_mtim.tv_sec <= *since) return {304, 0, 0, {}};
  }
  const std::string_view range = request.Header("Range");
  if (!range.empty() && request.method() == "GET" && RangeStillHolds(request, validators))
    return SelectRange(range, size);
  return {200, 0, size, {}};
}

}  // namespace cogi::server
