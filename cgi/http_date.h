// HTTP dates (IMF-fixdate, RFC 9110 5.6.7).
#ifndef COGI_CGI_HTTP_DATE_H_
#define COGI_CGI_HTTP_DATE_H_

#include <cstddef>
#include <ctime>
#include <optional>
#include <string_view>

#include "cgi/export.h"

namespace cogi::cgi {

inline constexpr size_t kHttpDateSize = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

// FormatHttpDate() writes kHttpDateSize characters for `time` (years 0 to 9999; others are
// clamped).
COGI_API void FormatHttpDate(time_t time, char* out);

// CurrentHttpDate() is now, made once a second and thread. The view lives until the thread's next
// call.
[[nodiscard]] COGI_API std::string_view CurrentHttpDate();

// ParseHttpDate() reads an IMF-fixdate, an RFC 850 date or an asctime date; nullopt if it is none.
[[nodiscard]] COGI_API std::optional<time_t> ParseHttpDate(std::string_view text);

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_DATE_H_
