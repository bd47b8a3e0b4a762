// Sizes and durations as people write them. Pure functions.
#ifndef COGI_CONFIG_UNITS_H_
#define COGI_CONFIG_UNITS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cogi::config {

// ParseSize() understands digits and an optional unit k, m, g or t (any case; powers of 1024).
// nullopt: not of that form, or beyond 2^63 - 1.
[[nodiscard]] std::optional<uint64_t> ParseSize(std::string_view text);
// FormatSize() writes it with the largest unit that divides it: "64k", "1000", "16m".
[[nodiscard]] std::string FormatSize(uint64_t bytes);

// ParseDuration() understands digits, at most one fraction, and a unit ms, s, m, h or d. nullopt:
// not of that form, finer than a millisecond, or beyond a century.
[[nodiscard]] std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);
// FromSeconds() is the same for a plain number.
[[nodiscard]] std::optional<std::chrono::milliseconds> FromSeconds(double value);
// FormatDuration() writes it with the largest unit that divides it: "10s", "1500ms", "2m".
[[nodiscard]] std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace cogi::config

#endif  // COGI_CONFIG_UNITS_H_
