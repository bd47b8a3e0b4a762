#include "server/conditional.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace cogi::server {
namespace {

void AppendHex(ShortText& text, uint64_t number) {
  char* begin = text.bytes.data() + text.size;
  text.size = static_cast<size_t>(
      std::to_chars(begin, text.bytes.data() + text.bytes.size(), number, 16).ptr -
      text.bytes.data());
}

void AppendChar(ShortText& text, char character) { text.bytes[text.size++] = character; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether one of the entity tags in `list` is `etag`. A weak tag never matches strongly.
bool ListHasTag(std::string_view list, std::string_view etag, bool weakly) {
  if (Trim(list) == "*") return true;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view tag = Trim(list.substr(0, comma));
    if (weakly && tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// A number that is digits and nothing else, at most 2^63-1.
std::optional<uint64_t> Number(std::string_view digits) {
  uint64_t number = 0;
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
  if (error != std::errc() || end != digits.end() || number > INT64_MAX) return std::nullopt;
  return number;
}

// One range of RFC 9110 14.1.2 against a file of `size` bytes.
Selection SelectRange(std::string_view range, uint64_t size) {
  const Selection whole{200, 0, size};
  constexpr std::string_view kUnit = "bytes=";
  if (!range.starts_with(kUnit)) return whole;
  range = Trim(range.substr(kUnit.size()));
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) return whole;
  const std::string_view first_text = Trim(range.substr(0, dash));
  const std::string_view last_text = Trim(range.substr(dash + 1));
  const auto first = Number(first_text);
  const auto last = Number(last_text);
  if ((!first_text.empty() && !first) || (!last_text.empty() && !last)) return whole;
  if (!first && !last) return whole;
  if (!first) {  // the last so many bytes
    if (*last == 0 || size == 0) return {416, 0, 0};
    const uint64_t length = std::min(*last, size);
    return {206, size - length, length};
  }
  if (last && *last < *first) return whole;
  if (*first >= size) return {416, 0, 0};
  const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {206, *first, end - *first + 1};
}

bool RangeStillHolds(const cgi::Request& request, const Validators& validators) {
  const std::string_view condition = request.Header("If-Range");
  if (condition.empty()) return true;
  return condition == validators.etag.view() || condition == validators.last_modified.view();
}

}  // namespace

Validators ValidatorsOf(const struct stat& status) {
  Validators made;
  std::tm parts{};
  gmtime_r(&status.st_mtim.tv_sec, &parts);
  // Not strftime(): the names are English whatever the locale.
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  made.last_modified.size = static_cast<size_t>(std::max(
      0,
      std::min<int>(static_cast<int>(made.last_modified.bytes.size()) - 1,
                    std::snprintf(made.last_modified.bytes.data(), made.last_modified.bytes.size(),
                                  "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[parts.tm_wday],
                                  parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900,
                                  parts.tm_hour, parts.tm_min, parts.tm_sec))));
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
    if (!ListHasTag(if_match, validators.etag.view(), false)) return {412, 0, 0};
  } else if (const auto since = ParseHttpDate(request.Header("If-Unmodified-Since"))) {
    if (status.st_mtim.tv_sec > *since) return {412, 0, 0};
  }
  const std::string_view if_none_match = request.Header("If-None-Match");
  if (!if_none_match.empty()) {
    if (ListHasTag(if_none_match, validators.etag.view(), true)) return {304, 0, 0};
  } else if (const auto since = ParseHttpDate(request.Header("If-Modified-Since"))) {
    if (status.st_mtim.tv_sec <= *since) return {304, 0, 0};
  }
  const std::string_view range = request.Header("Range");
  if (!range.empty() && request.method() == "GET" && RangeStillHolds(request, validators))
    return SelectRange(range, size);
  return {200, 0, size};
}

std::optional<std::time_t> ParseHttpDate(std::string_view text) {
  if (text.empty() || text.size() > 40) return std::nullopt;
  const std::string date(text);
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* end = strptime(date.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return timegm(&parts);
  }
  return std::nullopt;
}

}  // namespace cogi::server
