#include "config/units.h"

#include <gtest/gtest.h>

namespace cogi::config {
namespace {

using std::chrono::milliseconds;

TEST(Units, SizesInEveryUnit) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("1000"), 1000u);
  EXPECT_EQ(ParseSize("64k"), 65536u);
  EXPECT_EQ(ParseSize("64K"), 65536u);
  EXPECT_EQ(ParseSize("16m"), 16u << 20);
  EXPECT_EQ(ParseSize("2g"), 2ull << 30);
  EXPECT_EQ(ParseSize("1t"), 1ull << 40);
}

TEST(Units, SizesThatAreNone) {
  for (const char* text : {"", "k", "-1", "+1", " 1", "1 ", "1kb", "1.5m", "0x10", "1x",
                           "9223372036854775808", "8388608t", "99999999999999999999"})
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
}

TEST(Units, DurationsInEveryUnit) {
  EXPECT_EQ(ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(ParseDuration("10s"), milliseconds(10'000));
  EXPECT_EQ(ParseDuration("0.1s"), milliseconds(100));
  EXPECT_EQ(ParseDuration("2m"), milliseconds(120'000));
  EXPECT_EQ(ParseDuration("1h"), milliseconds(3'600'000));
  EXPECT_EQ(ParseDuration("1d"), milliseconds(86'400'000));
  EXPECT_EQ(FromSeconds(0.25), milliseconds(250));
  EXPECT_EQ(FromSeconds(75), milliseconds(75'000));
}

TEST(Units, DurationsThatAreNone) {
  for (const char* text : {"", "s", "10", "10 s", "-1s", "1s2", "1.2.3s", "1e3s", "inf", "nan",
                           "0.5ms", "1w", "99999999d"})
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  EXPECT_EQ(FromSeconds(-1), std::nullopt);
  EXPECT_EQ(FromSeconds(0.0001), std::nullopt);
  EXPECT_EQ(FromSeconds(1e300), std::nullopt);
}

TEST(Units, WrittenWithTheLargestUnitThatFits) {
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(1000), "1000");
  EXPECT_EQ(FormatSize(65536), "64k");
  EXPECT_EQ(FormatSize(1ull << 40), "1t");
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1500ms");
  EXPECT_EQ(FormatDuration(milliseconds(120'000)), "2m");
}

}  // namespace
}  // namespace cogi::config
