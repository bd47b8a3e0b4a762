#include "config/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace cogi::config {
namespace {

using std::chrono::milliseconds;

constexpr double kCentury = 100.0 * 365 * 24 * 3600 * 1000;  // ms

constexpr std::array<std::pair<std::string_view, int64_t>, 5> kDurationUnits{{
    {"d", 24LL * 3600 * 1000},
    {"h", 3600LL * 1000},
    {"m", 60LL * 1000},
    {"s", 1000},
    {"ms", 1},
}};

constexpr std::string_view kSizeUnits = "kmgt";  // each 1024 times the one before

std::optional<milliseconds> FromMilliseconds(double value) {
  const double whole = std::round(value);
  // A thousandth of a millisecond of slack: 0.1 s is not exact in binary.
  if (!(value >= 0 && value <= kCentury) || std::abs(value - whole) > 1e-3) return std::nullopt;
  return milliseconds(static_cast<int64_t>(whole));
}

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || end - rest > 1) return std::nullopt;
  unsigned shift = 0;
  if (rest != end) {
    const char unit = *rest >= 'A' && *rest <= 'Z' ? static_cast<char>(*rest - 'A' + 'a') : *rest;
    const size_t index = kSizeUnits.find(unit);
    if (index == std::string_view::npos) return std::nullopt;
    shift = 10 * (static_cast<unsigned>(index) + 1);
  }
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) >> shift)
    return std::nullopt;
  return value << shift;
}

std::string FormatSize(uint64_t bytes) {
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < kSizeUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + (unit == 0 ? "" : std::string(1, kSizeUnits[unit - 1]));
}

std::optional<milliseconds> ParseDuration(std::string_view text) {
  const size_t number = text.find_first_not_of("0123456789.");
  if (number == std::string_view::npos || number == 0) return std::nullopt;
  for (const auto& [unit, factor] : kDurationUnits) {
    if (text.substr(number) != unit) continue;
    double value = 0;
    const char* end = text.data() + number;
    const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (error != std::errc() || rest != end) return std::nullopt;
    return FromMilliseconds(value * static_cast<double>(factor));
  }
  return std::nullopt;
}

std::optional<milliseconds> FromSeconds(double value) { return FromMilliseconds(value * 1000); }

std::string FormatDuration(milliseconds duration) {
  if (duration.count() == 0) return "0s";
  for (const auto& [unit, factor] : kDurationUnits) {
    if (duration.count() % factor == 0)
      return std::to_string(duration.count() / factor) + std::string(unit);
  }
  return std::to_string(duration.count()) + "ms";
}

}  // namespace cogi::config
