// Limits: what a connection may cost before and while its handler runs. The same for every front
// end; the server fills it from the configuration. All times are on the monotonic clock.
#ifndef COGI_CGI_LIMITS_H_
#define COGI_CGI_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace cogi::cgi {

// Terms: those of them that a router may set for one request. Of one that came by FastCGI the send
// timeout stays the connection's, which others share.
struct Terms {
  // Bytes of a request body, transfer coding removed (413).
  uint64_t body = 16 * 1024 * 1024;
  // The longest wait for the next piece of a body, and the least mean rate in bytes per second,
  // counted from body_idle after the first wait on (408). 0: no least rate.
  std::chrono::milliseconds body_idle{30'000};
  uint64_t body_min_rate = 1024;
  // The longest time that a write may make no progress (the connection is cut).
  std::chrono::milliseconds send_idle{30'000};
};

// `body` is the most that any route allows.
struct Limits : Terms {
  // HTTP: bytes of the request line (over: 414), of the whole header block with the request line
  // and of trailers (431), number of header fields (431).
  size_t request_line = 8 * 1024;
  size_t header_block = 32 * 1024;
  size_t header_fields = 100;

  // FastCGI: bytes of all names, values and their length fields of one request, number of pairs.
  // Over: the connection is closed.
  size_t params_bytes = 64 * 1024;
  size_t params_pairs = 256;

  // Of a body that must be read before the handler asks for it, so much stays in memory; the rest
  // goes into an unlinked file in spool_folder.
  size_t body_memory = 64 * 1024;
  const char* spool_folder = "/tmp";

  // From the first byte of a request to the end of its header (408). Idle connections wait
  // keep_alive for that first byte (closed).
  std::chrono::milliseconds header_time{10'000};
  std::chrono::milliseconds keep_alive{75'000};

  // After an answer that leaves request bytes unread: how much and how long to read and discard, so
  // that the client sees the answer and no reset (RFC 9112 9.6).
  size_t linger_bytes = 256 * 1024;
  std::chrono::milliseconds linger_time{5'000};

  // Requests on one connection; the last one is answered with "Connection: close". 0: no limit.
  uint32_t requests_per_connection = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_LIMITS_H_
