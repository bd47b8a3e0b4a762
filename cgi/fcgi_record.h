// The FastCGI wire format, shared by decoder, encoder and client. Section numbers are those of the
// FastCGI Specification 1.0 (Open Market, 1996). All numbers are big-endian.
//
//   record  := version(1) type(1) requestId(2) contentLength(2) paddingLength(1) reserved(1)
//              content[contentLength] padding[paddingLength]                              (3.3)
//   BEGIN   := role(2) flags(1) reserved(5)                                               (5.1)
//   END     := appStatus(4) protocolStatus(1) reserved(3)                                 (5.5)
//   UNKNOWN := type(1) reserved(7)                                                        (4.2)
//   pair    := length(1 or 4) length(1 or 4) name value                                   (3.4)
#ifndef COGI_CGI_FCGI_RECORD_H_
#define COGI_CGI_FCGI_RECORD_H_

#include <cstddef>
#include <cstdint>

namespace cogi::cgi::fcgi {

inline constexpr uint8_t kVersion = 1;                        // 3.3
inline constexpr size_t kHeaderSize = 1 + 1 + 2 + 2 + 1 + 1;  // 3.3
inline constexpr size_t kMaxContent = 65535;                  // 3.3: contentLength is 16 bits
inline constexpr size_t kMaxPadding = 255;                    // 3.3: paddingLength is 8 bits
inline constexpr size_t kAlignment = 8;                       // 3.3: recommended
inline constexpr size_t kBeginBodySize = 2 + 1 + 5;           // 5.1
inline constexpr size_t kEndBodySize = 4 + 1 + 3;             // 5.5
inline constexpr size_t kUnknownTypeBodySize = 1 + 7;         // 4.2
inline constexpr size_t kShortLengthMax = 127;                // 3.4: longer ones take 4 bytes
inline constexpr size_t kLongLengthMax = 0x7fffffff;          // 3.4: 31 bits
inline constexpr uint16_t kManagementId = 0;                  // 3.3: the null request id
inline constexpr uint8_t kFlagKeepConnection = 1;             // 5.1

// Record types (8).
enum class Type : uint8_t {
  kBeginRequest = 1,
  kAbortRequest = 2,
  kEndRequest = 3,
  kParams = 4,
  kStdin = 5,
  kStdout = 6,
  kStderr = 7,
  kData = 8,
  kGetValues = 9,
  kGetValuesResult = 10,
  kUnknownType = 11,
};

// Roles (5.1, 6).
enum class Role : uint16_t { kResponder = 1, kAuthorizer = 2, kFilter = 3 };

// protocolStatus of END_REQUEST (5.5).
enum class ProtocolStatus : uint8_t {
  kRequestComplete = 0,
  kCannotMultiplex = 1,
  kOverloaded = 2,
  kUnknownRole = 3,
};

// What GET_VALUES is answered (4.1).
struct Values {
  uint32_t max_connections = 1;
  uint32_t max_requests = 1;
  bool multiplexes = false;
};

}  // namespace cogi::cgi::fcgi

#endif  // COGI_CGI_FCGI_RECORD_H_
