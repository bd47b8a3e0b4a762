#include "cgi/http_date.h"

#include <gtest/gtest.h>

#include <string>

namespace cogi::cgi {
namespace {

std::string Format(time_t time) {
  std::string out(kHttpDateSize, '?');
  FormatHttpDate(time, out.data());
  return out;
}

TEST(HttpDate, IsThatOfTheStandard) {
  EXPECT_EQ(Format(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(Format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(Format(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(Format(-1), Format(0));
  EXPECT_EQ(Format(999999999999999), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(HttpDate, IsReadInAllThreeForms) {
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(ParseHttpDate(text), 784111777) << text;
  }
  for (const char* text : {"", "yesterday", "Sun, 06 Nov 1994 08:49:37 GMT+1",
                           "Sun, 36 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"}) {
    EXPECT_EQ(ParseHttpDate(text), std::nullopt) << text;
  }
  // That of a header field that is not there.
  EXPECT_EQ(ParseHttpDate(std::string_view()), std::nullopt);
  EXPECT_EQ(ParseHttpDate(std::string(1000, 'x')), std::nullopt);
}

TEST(HttpDate, OfNowIsThatOfTheClock) {
  time_t before = time(nullptr);
  std::optional<time_t> now = ParseHttpDate(CurrentHttpDate());
  ASSERT_TRUE(now);
  // The clock that it reads may be a tick behind.
  EXPECT_GE(*now, before - 1);
  EXPECT_LE(*now, time(nullptr));
}

}  // namespace
}  // namespace cogi::cgi
