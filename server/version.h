// The version, as the build says it.
#ifndef COGI_SERVER_VERSION_H_
#define COGI_SERVER_VERSION_H_

namespace cogi::server {

#ifndef COGI_VERSION
#define COGI_VERSION "unknown"
#endif
inline constexpr const char* kVersion = COGI_VERSION;

}  // namespace cogi::server

#endif  // COGI_SERVER_VERSION_H_
