// Linger: the end of a connection on which the peer may still be sending.
#ifndef COGI_CGI_LINGER_H_
#define COGI_CGI_LINGER_H_

#include <chrono>
#include <cstdint>

#include "cgi/byte_stream.h"
#include "cgi/input_buffer.h"

namespace cogi::cgi {

// Linger() tells the peer that nothing more comes, then reads and drops what it still sends, at
// most `bytes` and for `time`: closing at once would reset the connection before the peer has read
// the answer (RFC 9112 9.6). Drops what `input` holds. May yield.
inline void Linger(ByteStream& stream, InputBuffer& input, uint64_t bytes,
                   std::chrono::milliseconds time) {
  stream.ShutdownWrite();
  stream.SetReadDeadline(std::chrono::steady_clock::now() + time);
  for (uint64_t dropped = 0; dropped < bytes;) {
    input.Clear();
    input.Reserve(1);
    ssize_t got = input.Fill(stream);
    if (got <= 0) break;
    dropped += static_cast<uint64_t>(got);
  }
  input.Clear();
}

}  // namespace cogi::cgi

#endif  // COGI_CGI_LINGER_H_
