// Writing FastCGI records (fcgi_record.h). A length field cannot be too small for its content by
// construction: content is split at 65,535 bytes here, and nowhere else. Padding is zeroed.
#ifndef COGI_CGI_FCGI_ENCODER_H_
#define COGI_CGI_FCGI_ENCODER_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cgi/byte_stream.h"
#include "cgi/export.h"
#include "cgi/fcgi_record.h"

namespace cogi::cgi::fcgi {

// PaddingFor() is how many bytes bring `length` to a multiple of eight.
constexpr uint8_t PaddingFor(size_t length) {
  return static_cast<uint8_t>((kAlignment - length % kAlignment) % kAlignment);
}

// PutHeader() writes the kHeaderSize bytes of a record header.
COGI_API void PutHeader(char* out, Type type, uint16_t id, uint16_t content, uint8_t padding);

// Append...() append whole records to `out`.
COGI_API void AppendEndRequest(std::string& out, uint16_t id, uint32_t app_status,
                               ProtocolStatus status);
COGI_API void AppendUnknownType(std::string& out, uint8_t type);
COGI_API void AppendBeginRequest(std::string& out, uint16_t id, Role role, bool keep_connection);
// AppendStream() appends `bytes` as records of a stream; nothing if it is empty.
COGI_API void AppendStream(std::string& out, Type type, uint16_t id, std::string_view bytes);
// AppendStreamEnd() appends the empty record that ends a stream.
COGI_API void AppendStreamEnd(std::string& out, Type type, uint16_t id);

// AppendPair() appends a name-value pair (3.4), without a record around it. Lengths are at most
// kLongLengthMax.
COGI_API void AppendPair(std::string& out, std::string_view name, std::string_view value);

// WriteStream() writes the pieces as records of a stream, and `after` behind them, with as few
// writes as can be. Returns as ByteStream::Write(). May yield.
[[nodiscard]] COGI_API bool WriteStream(ByteStream& stream, Type type, uint16_t id,
                                        std::span<const std::string_view> pieces,
                                        std::string_view after);

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_ENCODER_H_
