// Small text helpers of the server. Thread-safe. Never yields.
#ifndef COGI_SERVER_TEXT_H_
#define COGI_SERVER_TEXT_H_

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace cogi::server {

inline void Append(std::string& to, std::string_view piece) { to.append(piece); }
template <std::integral Number>
requires(!std::same_as<Number, char> && !std::same_as<Number, bool>) void Append(std::string& to,
                                                                                 Number number) {
  char digits[24];
  to.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// Concat() joins texts and whole numbers.
template <class... Pieces>
[[nodiscard]] std::string Concat(const Pieces&... pieces) {
  std::string text;
  (Append(text, pieces), ...);
  return text;
}

// ErrnoText() is what `error` means: "Permission denied". Allocates nothing; valid for ever.
[[nodiscard]] const char* ErrnoText(int error) noexcept;

// EscapeForLog() appends `text` so that it stays on one line and in its quotes: control
// characters, DEL, quotes, backslashes and bytes above 0x7e as \xHH. At most `limit` bytes of it;
// "..." marks a cut.
void EscapeForLog(std::string& to, std::string_view text, size_t limit = 2048);

// EscapeHtml() appends `text` with & < > " ' as entities.
void EscapeHtml(std::string& to, std::string_view text);

// WithoutSlash() is `path` without a slash at its end.
[[nodiscard]] inline std::string_view WithoutSlash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// EncodePath() appends `path` percent-encoded as a URI path (RFC 3986 3.3; "/" stays).
void EncodePath(std::string& to, std::string_view path);

}  // namespace cogi::server

#endif  // COGI_SERVER_TEXT_H_
