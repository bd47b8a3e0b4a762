// Content codings (RFC 9110 8.4.1): which one a client takes, and the encoders, gzip by zlib and br
// by Brotli. Thread-safe but for one encoder at a time. Never yields.
#ifndef COGI_SERVER_CONTENT_CODING_H_
#define COGI_SERVER_CONTENT_CODING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cgi/response_filter.h"

namespace cogi::server {

enum class Coding : uint8_t { kIdentity, kGzip, kBrotli };

// NameOf() is the coding's token: "gzip", "br", "" for identity. SuffixOf() is what a file in that
// coding is named with: ".gz", ".br".
[[nodiscard]] std::string_view NameOf(Coding coding);
[[nodiscard]] std::string_view SuffixOf(Coding coding);

// Accepts is what an Accept-Encoding field (RFC 9110 12.5.3) says of the codings known here.
struct Accepts {
  bool gzip = false;
  bool brotli = false;
  bool prefers_gzip = false;  // by a higher weight
};
[[nodiscard]] Accepts ParseAcceptEncoding(std::string_view field);

// Choose() is the best of the allowed codings that the client takes: Brotli before gzip, unless the
// client says otherwise.
[[nodiscard]] Coding Choose(const Accepts& accepts, bool allow_gzip, bool allow_brotli);

class Encoder {
 public:
  virtual ~Encoder() = default;
  // Encode() appends to `out` what becomes of `bytes`. Returns false if it failed (no memory).
  [[nodiscard]] virtual bool Encode(std::string_view bytes, cgi::ResponseFilter::Then then,
                                    std::string& out) = 0;
};

// MakeEncoder() makes one that takes a quarter of a MiB (gzip) or about one (Brotli) while it
// lives. `level` is 1 to 9. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Encoder> MakeEncoder(Coding coding, uint32_t level);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONTENT_CODING_H_
