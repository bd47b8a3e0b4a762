#include "cgi/http_date.h"

#include <cstring>

#include "cgi/field_list.h"

namespace cogi::cgi {
namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr time_t kLastSecond = 253402300799;  // 9999-12-31 23:59:59

void PutTwo(char* out, int value) {
  out[0] = static_cast<char>('0' + value / 10 % 10);
  out[1] = static_cast<char>('0' + value % 10);
}

// strptime(3) reads names in the program's locale; HTTP's are English, so the locale is fixed.
locale_t CLocale() {
  static const locale_t locale = newlocale(LC_ALL_MASK, "C", nullptr);
  return locale;
}

}  // namespace

void FormatHttpDate(time_t time, char* out) {
  if (time < 0) time = 0;
  if (time > kLastSecond) time = kLastSecond;
  tm parts{};
  gmtime_r(&time, &parts);
  std::memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", kHttpDateSize);
  std::memcpy(out, kDays.data() + 3 * parts.tm_wday, 3);
  PutTwo(out + 5, parts.tm_mday);
  std::memcpy(out + 8, kMonths.data() + 3 * parts.tm_mon, 3);
  PutTwo(out + 12, (parts.tm_year + 1900) / 100);
  PutTwo(out + 14, (parts.tm_year + 1900) % 100);
  PutTwo(out + 17, parts.tm_hour);
  PutTwo(out + 20, parts.tm_min);
  PutTwo(out + 23, parts.tm_sec);
}

std::string_view CurrentHttpDate() {
  thread_local time_t made_at = -1;
  thread_local char text[kHttpDateSize];
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != made_at) {
    FormatHttpDate(now.tv_sec, text);
    made_at = now.tv_sec;
  }
  return {text, kHttpDateSize};
}

std::optional<time_t> ParseHttpDate(std::string_view text) {
  char copy[64];
  if (text.size() >= sizeof copy) return std::nullopt;
  text.copy(copy, text.size());
  copy[text.size()] = '\0';
  for (const char* format :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    tm parts{};
    const char* end = strptime_l(copy, format, &parts, CLocale());
    if (end != nullptr && *end == '\0') return timegm(&parts);
  }
  return std::nullopt;
}

}  // namespace cogi::cgi
