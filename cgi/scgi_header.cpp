#include "cgi/scgi_header.h"

#include <optional>

#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

using Result = ScgiHeader::Result;

constexpr size_t kMaxDigits = 8;

ScgiHeader Bad(const char* code, const char* reason) { return {Result::kBad, 0, 0, code, reason}; }

// Takes the text before the next NUL off `rest`. nullopt: there is no NUL.
std::optional<std::string_view> TakeString(std::string_view& rest) {
  size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view text = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return text;
}

ScgiHeader ParsePairs(std::string_view rest, const Limits& limits, MetaVariables& variables) {
  ScgiHeader header;
  for (size_t pairs = 0; !rest.empty(); ++pairs) {
    if (pairs == limits.params_pairs) return Bad("scgi_limit", "there are too many parameters");
    std::optional<std::string_view> name = TakeString(rest), value = TakeString(rest);
    if (!name || !value) return Bad("scgi_bad_header", "the header ends in the middle of a pair");
    if (pairs == 0) {
      std::optional<uint64_t> length = ParseLength(*value);
      if (*name != "CONTENT_LENGTH" || !length) {
        return Bad("scgi_bad_header", "the header does not begin with a lawful CONTENT_LENGTH");
      }
      header.content_length = *length;
    }
    if (variables.Find(*name) != nullptr) {
      return Bad("scgi_bad_header", "the header has a name twice");
    }
    variables.SetFromPeer(*name, *value);
  }
  if (variables.Get("SCGI") != "1") {
    return Bad("scgi_bad_header", "the header does not say SCGI version 1");
  }
  header.result = Result::kDone;
  return header;
}

}  // namespace

ScgiHeader ParseScgiHeader(std::string_view bytes, const Limits& limits, MetaVariables& variables) {
  size_t digits = 0, length = 0;
  while (digits < bytes.size() && IsDigit(bytes[digits])) {
    if (digits == kMaxDigits) return Bad("scgi_limit", "the header is too large");
    length = length * 10 + static_cast<size_t>(bytes[digits] - '0');
    ++digits;
  }
  if (length > limits.params_bytes) return Bad("scgi_limit", "the header is too large");
  if (digits == bytes.size()) return {};
  if (digits == 0 || bytes[digits] != ':' || (digits > 1 && bytes.front() == '0')) {
    return Bad("scgi_bad_header", "the request does not begin with a netstring");
  }
  size_t begin = digits + 1, size = begin + length + 1;
  if (bytes.size() < size) return {};
  if (bytes[size - 1] != ',') return Bad("scgi_bad_header", "the netstring has another length");
  variables.Clear();
  ScgiHeader header = ParsePairs(bytes.substr(begin, length), limits, variables);
  header.size = size;
  return header;
}

}  // namespace cogi::cgi
