#include "server/text.h"

#include <cstring>

namespace cogi::server {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr char kUpperHex[] = "0123456789ABCDEF";

}  // namespace

const char* ErrnoText(int error) noexcept {
  const char* const text = strerrordesc_np(error);
  return text == nullptr ? "an unknown error" : text;
}

void EscapeForLog(std::string& to, std::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  for (const char character : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
      to += "\\x";
      to += kHex[byte >> 4];
      to += kHex[byte & 15];
    } else {
      to += character;
    }
  }
  if (cut) to += "...";
}

void EscapeHtml(std::string& to, std::string_view text) {
  for (const char character : text) {
    switch (character) {
      case '&':
        to += "&amp;";
        break;
      case '<':
        to += "&lt;";
        break;
      case '>':
        to += "&gt;";
        break;
      case '"':
        to += "&quot;";
        break;
      case '\'':
        to += "&#39;";
        break;
      default:
        to += character;
    }
  }
}

void EncodePath(std::string& to, std::string_view path) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/";
  for (const char character : path) {
    if (kPlain.find(character) != std::string_view::npos) {
      to += character;
      continue;
    }
    const auto byte = static_cast<unsigned char>(character);
    to += '%';
    to += kUpperHex[byte >> 4];
    to += kUpperHex[byte & 15];
  }
}

}  // namespace cogi::server
