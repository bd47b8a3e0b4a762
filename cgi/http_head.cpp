#include "cgi/http_head.h"

#include <cstring>

#include "cgi/http_fields.h"
#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

// True if any of the eight bytes is a control character (below 0x20, or 0x7f). May be wrong only in
// saying yes.
bool MayHaveControl(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  uint64_t low = (word - kOnes * 0x20) & ~word;
  uint64_t del = word ^ (kOnes * 0x7f);
  return ((low | ((del - kOnes) & ~del)) & kHighs) != 0;
}

// The first control character of `bytes` from `at` on, or bytes.size().
size_t FindControl(std::string_view bytes, size_t at) {
  for (;;) {
    while (at + 8 <= bytes.size() && !MayHaveControl(bytes.data() + at)) at += 8;
    size_t end = std::min(at + 8, bytes.size());
    for (; at < end; ++at) {
      auto byte = static_cast<uint8_t>(bytes[at]);
      if (byte < 0x20 || byte == 0x7f) return at;
    }
    if (at == bytes.size()) return at;
  }
}

}  // namespace

void HttpHead::Clear() {
  auto kept = std::move(fields);
  kept.clear();
  *this = HttpHead();
  fields = std::move(kept);
}

HttpHeadParser::Result HttpHeadParser::Fail(int status, const char* code, const char* reason) {
  error_ = {status, code, reason};
  return Result::kBad;
}

HttpHeadParser::Result HttpHeadParser::Push(std::string_view bytes, const Limits& limits,
                                            HttpHead& head) {
  Result result = Scan(bytes, limits);
  return result == Result::kDone ? Parse(bytes.substr(0, at_), head) : result;
}

// Finds the end of the header block, and refuses on the way, as early as it can be known, what
// Beast would take or would wait for.
HttpHeadParser::Result HttpHeadParser::Scan(std::string_view bytes, const Limits& limits) {
  for (;;) {
    at_ = FindControl(bytes, at_);
    if (lines_ == 0 && at_ - line_begin_ > limits.request_line) {
      return Fail(414, "request_line_too_long", "the request line is too long");
    }
    if (at_ - skipped_ > limits.header_block) {
      return Fail(431, "header_too_large", "the header block is too large");
    }
    if (at_ == bytes.size()) return Result::kMore;
    if (bytes[at_] == '\t') {
      ++at_;
      continue;
    }
    if (bytes[at_] == '\n') return Fail(400, "bare_lf", "a line ends in LF without CR");
    if (bytes[at_] != '\r') {
      return Fail(400, "control_character", "the header block has a control character");
    }
    if (at_ + 1 == bytes.size()) return Result::kMore;
    if (bytes[at_ + 1] != '\n') return Fail(400, "bare_cr", "the header block has a CR without LF");
    std::string_view line = bytes.substr(line_begin_, at_ - line_begin_);
    at_ += 2;
    Result result = EndLine(line, limits);
    if (result != Result::kMore) return result;
    line_begin_ = at_;
  }
}

HttpHeadParser::Result HttpHeadParser::EndLine(std::string_view line, const Limits& limits) {
  if (lines_ == 0) {
    if (line.empty()) {
      // RFC 9112 2.2: at least one empty line before the request line should be ignored.
      if (skipped_ > 0) return Fail(400, "empty_lines", "empty lines instead of a request line");
      skipped_ = at_;
      return Result::kMore;
    }
    if (line == "PRI * HTTP/2.0") {
      return Fail(505, "http2_preface", "HTTP/2 without negotiation is not spoken here");
    }
    // The rest of the line is Beast's to judge; but what is no HTTP at all need not be waited for.
    size_t version = line.rfind(' ');
    if (version == std::string_view::npos || !line.substr(version + 1).starts_with("HTTP/")) {
      return Fail(400, "bad_request_line", "the request line does not end in an HTTP version");
    }
  } else if (line.empty()) {
    return Result::kDone;
  } else if (line.front() == ' ' || line.front() == '\t') {
    return Fail(400, "folded_header", "a header line begins with whitespace (folding is obsolete)");
  } else if (lines_ > limits.header_fields) {
    return Fail(431, "too_many_headers", "the request has too many header fields");
  }
  ++lines_;
  return Result::kMore;
}

HttpHeadParser::Result HttpHeadParser::Parse(std::string_view bytes, HttpHead& head) {
  head.Clear();
  error_ = ParseHead(bytes, skipped_, head);
  return error_.status == 0 ? Result::kDone : Result::kBad;
}

}  // namespace cogi::cgi
