#include "cgi/http_chunk_decoder.h"

#include <algorithm>

#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

// 15 digits are 2^60 - 1: far over every body limit, and no sum of two overflows.
constexpr uint8_t kMaxDigits = 15;

// Framing (size lines with extensions) may take this much at once, and this many times the data
// after that: bodies of one-byte chunks are lawful, megabytes of extensions are an attack
// (CVE-2023-39326).
constexpr uint64_t kFreeFraming = 16 * 1024;
constexpr uint64_t kFramingPerByte = 16;

}  // namespace

void ChunkDecoder::Fail(const char* error) {
  state_ = State::kBad;
  error_ = error;
}

bool ChunkDecoder::Count(size_t bytes) {
  framing_bytes_ += bytes;
  if (framing_bytes_ <= kFreeFraming + kFramingPerByte * data_bytes_) return true;
  Fail("the chunk extensions take too much of the body");
  return false;
}

void ChunkDecoder::Skip(uint64_t bytes) {
  left_ -= bytes;
  data_bytes_ += bytes;
  if (left_ == 0) state_ = State::kDataCr;
}

size_t ChunkDecoder::Next(std::string_view in, size_t most, std::string_view& data) {
  data = {};
  size_t used = 0;
  while (used < in.size() && state_ < State::kDone) {
    if (state_ == State::kData) {
      data = in.substr(used, static_cast<size_t>(std::min<uint64_t>(left_, most)));
      Skip(data.size());
      return used + data.size();
    }
    Take(in[used++]);
  }
  return used;
}

void ChunkDecoder::Take(char c) {
  switch (state_) {
    case State::kSize:
      return TakeSize(c);
    case State::kExtension:
    case State::kQuoted:
    case State::kQuotedPair:
      return TakeExtension(c);
    case State::kSizeLf:
      return c == '\n' ? EndSizeLine() : Fail("a chunk size line does not end in CRLF");
    case State::kDataCr:
      state_ = State::kDataLf;
      if (c != '\r') Fail("the data of a chunk is longer than its size");
      return;
    case State::kDataLf:
      state_ = State::kSize;
      left_ = digits_ = 0;
      if (c != '\n') Fail("the data of a chunk does not end in CRLF");
      return;
    default:
      return TakeTrailer(c);
  }
}

void ChunkDecoder::TakeSize(char c) {
  if (!Count(1)) return;
  if (int value = HexValue(c); value >= 0) {
    if (++digits_ > kMaxDigits) return Fail("a chunk size has too many digits");
    left_ = left_ * 16 + static_cast<uint64_t>(value);
    return;
  }
  if (digits_ == 0) return Fail("a chunk has no size");
  if (c == '\r') {
    state_ = State::kSizeLf;
  } else if (c == ';') {
    state_ = State::kExtension;
    extension_value_ = extension_quoted_ = extension_text_ = false;
  } else {
    Fail("a chunk size is followed by something else than CRLF or an extension");
  }
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ). The optional bad whitespace of the
// grammar is refused: no client sends it, and servers disagree on it.
void ChunkDecoder::TakeExtension(char c) {
  if (!Count(1)) return;
  auto byte = static_cast<uint8_t>(c);
  bool control = (byte < 0x20 && c != '\t') || byte == 0x7f;
  if (state_ == State::kQuotedPair) {
    state_ = State::kQuoted;
    if (control) Fail("a chunk extension has a control character");
    return;
  }
  if (state_ == State::kQuoted) {
    if (control) return Fail("a chunk extension has a control character");
    if (c == '\\') state_ = State::kQuotedPair;
    if (c == '"') state_ = State::kExtension;
    return;
  }
  if (IsTokenChar(c) && !extension_quoted_) {
    extension_text_ = true;
  } else if (c == '=' && !extension_value_ && extension_text_) {
    extension_value_ = true;
    extension_text_ = false;
  } else if (c == '"' && extension_value_ && !extension_text_) {
    extension_quoted_ = extension_text_ = true;
    state_ = State::kQuoted;
  } else if (c == ';' && extension_text_) {
    extension_value_ = extension_quoted_ = extension_text_ = false;
  } else if (c == '\r' && extension_text_) {
    state_ = State::kSizeLf;
  } else {
    Fail("a chunk extension is malformed");
  }
}

void ChunkDecoder::EndSizeLine() { state_ = left_ == 0 ? State::kTrailerStart : State::kData; }

// Trailer fields are held to the grammar of header fields and dropped: merging them into the header
// would let them replace what was checked there (RFC 9110 6.5.1).
void ChunkDecoder::TakeTrailer(char c) {
  if (++trailer_bytes_ > trailer_limit_) return Fail("the trailers are too large");
  auto byte = static_cast<uint8_t>(c);
  switch (state_) {
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kLastLf;
      } else if (IsTokenChar(c)) {
        state_ = State::kTrailer;
        trailer_colon_ = false;
      } else {
        Fail("a trailer field has no name");
      }
      return;
    case State::kTrailer:
      if (c == '\r' && trailer_colon_) {
        state_ = State::kTrailerLf;
      } else if (!trailer_colon_ && c == ':') {
        trailer_colon_ = true;
      } else if (trailer_colon_ ? (byte < 0x20 && c != '\t') || byte == 0x7f : !IsTokenChar(c)) {
        Fail("a trailer field is malformed");
      }
      return;
    default:
      if (c != '\n') return Fail("a trailer line does not end in CRLF");
      state_ = state_ == State::kLastLf ? State::kDone : State::kTrailerStart;
  }
}

}  // namespace cogi::cgi
