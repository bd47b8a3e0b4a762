// The characters and small rules of HTTP's grammar (RFC 9110 5.6), shared by all parsers of cgi/.
#ifndef COGI_CGI_HTTP_SYNTAX_H_
#define COGI_CGI_HTTP_SYNTAX_H_

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace cogi::cgi {

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr char ToUpper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
// HexValue() is 0 to 15, or -1 if `c` is no hexadecimal digit.
constexpr int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

namespace syntax_internal {
constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) {
    table[static_cast<size_t>(c)] = IsDigit(static_cast<char>(c)) || IsAlpha(static_cast<char>(c));
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> kTokenTable = MakeTokenTable();
}  // namespace syntax_internal

// tchar (RFC 9110 5.6.2).
constexpr bool IsTokenChar(char c) { return syntax_internal::kTokenTable[static_cast<uint8_t>(c)]; }

// IsToken() is true for 1*tchar.
constexpr bool IsToken(std::string_view text) {
  for (char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return !text.empty();
}

// IsFieldValue() is true for what RFC 9110 5.5 allows in a value: no control character but HTAB.
constexpr bool IsFieldValue(std::string_view text) {
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

// TrimWhitespace() takes SP and HTAB (OWS) off both ends.
constexpr std::string_view TrimWhitespace(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// ParseLength() reads 1*DIGIT, nothing else around it, below 2^63: a Content-Length.
inline std::optional<uint64_t> ParseLength(std::string_view text) {
  uint64_t value = 0;
  if (text.empty() || !IsDigit(text.front())) return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return value;
}

// IsHopByHop() is true for the fields that concern one connection only (RFC 9110 7.6.1), in any
// case.
[[nodiscard]] bool IsHopByHop(std::string_view name);

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_SYNTAX_H_
