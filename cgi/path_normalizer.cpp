#include "cgi/path_normalizer.h"

#include <cstdint>

#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

// Characters that a raw path may not have. "\" is a slash to some systems and never sent by
// browsers.
bool IsForbidden(char c) {
  auto byte = static_cast<uint8_t>(c);
  return byte <= 0x20 || byte == 0x7f || c == '#' || c == '\\' || c == '?';
}

// Reads one character of the path, decoding an escape. Advances `in`.
PathError TakeCharacter(std::string_view& in, bool decode, char& c) {
  c = in.front();
  if (!decode) {
    in.remove_prefix(1);
    auto byte = static_cast<uint8_t>(c);
    return byte < 0x20 || byte == 0x7f ? PathError::kBadCharacter : PathError::kNone;
  }
  if (c != '%') {
    in.remove_prefix(1);
    return IsForbidden(c) ? PathError::kBadCharacter : PathError::kNone;
  }
  if (in.size() < 3) return PathError::kBadEscape;
  int high = HexValue(in[1]), low = HexValue(in[2]);
  if (high < 0 || low < 0) return PathError::kBadEscape;
  c = static_cast<char>(high * 16 + low);
  in.remove_prefix(3);
  if (c == '/') return PathError::kEncodedSlash;
  // NUL ends C strings, CR and LF end header and log lines: no file name that is meant has them.
  return c == '\0' || c == '\r' || c == '\n' ? PathError::kBadCharacter : PathError::kNone;
}

// Ends the segment that begins at `begin` in `out`: removes dot segments. `size` counts what is
// written, the slash before the segment included. False above the root.
bool EndSegment(char* out, size_t begin, size_t& size) {
  std::string_view segment(out + begin, size - begin);
  if (segment == ".") {
    size = begin;
  } else if (segment == "..") {
    if (begin == 1) return false;
    size = begin - 1;  // the slash before ".."
    while (out[size - 1] != '/') --size;
  }
  return true;
}

}  // namespace

PathError NormalizePath(std::string_view raw, char* out, size_t& size, bool decode) {
  size = 0;
  if (raw.empty() || raw.front() != '/') return PathError::kNotAbsolute;
  out[size++] = '/';
  raw.remove_prefix(1);
  size_t begin = size;
  while (!raw.empty()) {
    if (raw.front() == '/') {
      raw.remove_prefix(1);
      if (!EndSegment(out, begin, size)) return PathError::kAboveRoot;
      if (out[size - 1] != '/') out[size++] = '/';
      begin = size;
      continue;
    }
    char c;
    if (PathError error = TakeCharacter(raw, decode, c); error != PathError::kNone) return error;
    out[size++] = c;
  }
  return EndSegment(out, begin, size) ? PathError::kNone : PathError::kAboveRoot;
}

bool IsNormalPath(std::string_view raw) {
  if (raw.empty() || raw.front() != '/') return false;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' || IsForbidden(raw[i])) return false;
    // An empty or a dot segment (or only a name that begins with a dot: then the slow way decides).
    if (raw[i] == '/' && i + 1 < raw.size() && (raw[i + 1] == '/' || raw[i + 1] == '.')) {
      return false;
    }
  }
  return true;
}

const char* Describe(PathError error) {
  switch (error) {
    case PathError::kNotAbsolute:
      return "the path of the request target does not begin with a slash";
    case PathError::kBadCharacter:
      return "the path has a character that no path may have";
    case PathError::kBadEscape:
      return "the path has a percent sign without two hexadecimal digits";
    case PathError::kEncodedSlash:
      return "the path has an encoded slash";
    case PathError::kAboveRoot:
      return "the path leads above the root";
    case PathError::kNone:
      break;
  }
  return "the path is lawful";
}

}  // namespace cogi::cgi
