// ChunkDecoder: the chunked transfer coding of a request body (RFC 9112 7.1), push-style and
// strict: CRLF line ends only, nothing around the size, at most 15 hexadecimal digits (so that no
// sum overflows), lawful extensions, no more framing than reasonable for the data. Trailers are
// checked and dropped. No I/O.
#ifndef COGI_CGI_HTTP_CHUNK_DECODER_H_
#define COGI_CGI_HTTP_CHUNK_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

class COGI_API ChunkDecoder {
 public:
  // Trailers of more than `trailer_limit` bytes are an error.
  explicit ChunkDecoder(size_t trailer_limit = 32 * 1024) : trailer_limit_(trailer_limit) {}

  // Next() reads from `in` until it has a piece of body (at most `most` bytes, a view into `in`,
  // then in `data`), `in` is used up, or the body is over. Returns how many bytes it used, the
  // piece included.
  size_t Next(std::string_view in, size_t most, std::string_view& data);

  // done() is true after the last chunk, its trailers and the final line end.
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  // error() is null, or says in one sentence why this is no chunked body. Static text.
  [[nodiscard]] const char* error() const { return error_; }

  // data_left() is how much data of the current chunk is still to come: that many bytes may be read
  // past the decoder and told by Skip().
  [[nodiscard]] uint64_t data_left() const { return state_ == State::kData ? left_ : 0; }
  void Skip(uint64_t bytes);

 private:
  enum class State : uint8_t {
    kSize,
    kExtension,
    kQuoted,
    kQuotedPair,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kLastLf,
    kDone,
    kBad
  };

  void Take(char c);
  void TakeSize(char c);
  void TakeExtension(char c);
  void TakeTrailer(char c);
  void EndSizeLine();
  bool Count(size_t bytes);
  void Fail(const char* error);

  size_t trailer_limit_;
  State state_ = State::kSize;
  uint8_t digits_ = 0;
  bool extension_value_ = false;   // "=" was seen
  bool extension_quoted_ = false;  // ... and a quoted string, complete
  bool extension_text_ = false;    // a character of the current name or value was seen
  bool trailer_colon_ = false;
  uint64_t left_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t framing_bytes_ = 0;
  size_t trailer_bytes_ = 0;
  const char* error_ = nullptr;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_CHUNK_DECODER_H_
