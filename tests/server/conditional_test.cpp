#include "server/conditional.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/server/fake_request.h"

namespace cogi::server {
namespace {

constexpr std::time_t kModified = 1'700'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT
constexpr uint64_t kSize = 1000;

struct stat FileStatus() {
  struct stat status {};
  status.st_mtim.tv_sec = kModified;
  status.st_size = kSize;
  status.st_ino = 7;
  return status;
}

Selection SelectFor(const std::map<std::string, std::string>& headers) {
  FakeRequest request;
  request.headers = headers;
  const struct stat status = FileStatus();
  return Select(request, ValidatorsOf(status), status, kSize);
}

TEST(Conditional, ValidatorsAreAnHttpDateAndAStrongTag) {
  const Validators validators = ValidatorsOf(FileStatus());
  EXPECT_EQ(validators.last_modified.view(), "Tue, 14 Nov 2023 22:13:20 GMT");
  EXPECT_TRUE(validators.etag.view().starts_with('"'));
  EXPECT_TRUE(validators.etag.view().ends_with('"'));
}

TEST(Conditional, RangesAreAnsweredAsRfc9110Says) {
  const struct {
    const char* range;
    int status;
    uint64_t offset, length;
  } cases[] = {
      {"bytes=0-0", 206, 0, 1},
      {"bytes=0-99", 206, 0, 100},
      {"bytes=900-", 206, 900, 100},
      {"bytes=-100", 206, 900, 100},
      {"bytes=-5000", 206, 0, 1000},
      {"bytes=999-5000", 206, 999, 1},
      {"bytes=1000-", 416, 0, 0},
      {"bytes=-0", 416, 0, 0},
      {"bytes=5-3", 200, 0, 1000},
      {"bytes=a-b", 200, 0, 1000},
      {"bytes=0-1,2000-", 206, 0, 2},
      {"bytes=2000-,3000-", 416, 0, 0},
      {"bytes=0-1,x", 200, 0, 1000},
      {"bytes=0-999,0-", 200, 0, 1000},
      {"bytes=", 200, 0, 1000},
      {"bytes=-", 200, 0, 1000},
      {"lines=0-1", 200, 0, 1000},
      {"bytes=18446744073709551616-", 200, 0, 1000},
      {"bytes=0-18446744073709551615", 200, 0, 1000},
      {"bytes=+1-2", 200, 0, 1000},
  };
  for (const auto& [range, status, offset, length] : cases) {
    const Selection selection = SelectFor({{"Range", range}});
    EXPECT_EQ(selection.status, status) << range;
    EXPECT_EQ(selection.offset, offset) << range;
    EXPECT_EQ(selection.length, length) << range;
  }
}

TEST(Conditional, SeveralRangesAreParts) {
  const Selection selection = SelectFor({{"Range", "bytes=0-1, ,500-599,-3"}});
  EXPECT_EQ(selection.status, 206);
  ASSERT_EQ(selection.parts.size(), 3u);
  EXPECT_EQ(selection.parts[1].offset, 500u);
  EXPECT_EQ(selection.parts[1].length, 100u);
  EXPECT_EQ(selection.parts[2].offset, 997u);
}

// CVE-2011-3192: a thousand overlapping ranges cost no more than the file.
TEST(Conditional, TooManyOrOverlappingRangesAreTheWholeFile) {
  std::string many = "bytes=0-0";
  for (int count = 0; count < 1000; ++count) many += ",0-0";
  EXPECT_EQ(SelectFor({{"Range", many}}).status, 200);
  EXPECT_EQ(SelectFor({{"Range", "bytes=0-999,1-999"}}).status, 200);
}

TEST(Conditional, PreconditionsAreTakenInTheOrderOfRfc9110) {
  const std::string etag(ValidatorsOf(FileStatus()).etag.view());
  const std::string date = "Tue, 14 Nov 2023 22:13:20 GMT";
  const std::string before = "Tue, 14 Nov 2023 22:13:19 GMT";
  const struct {
    std::map<std::string, std::string> headers;
    int status;
  } cases[] = {
      {{{"If-None-Match", etag}}, 304},
      {{{"If-None-Match", "W/" + etag}}, 304},
      {{{"If-None-Match", "\"x\", " + etag}}, 304},
      {{{"If-None-Match", "*"}}, 304},
      {{{"If-None-Match", "\"x\""}}, 200},
      {{{"If-None-Match", "\"x\""}, {"If-Modified-Since", date}}, 200},
      {{{"If-Modified-Since", date}}, 304},
      {{{"If-Modified-Since", before}}, 200},
      {{{"If-Modified-Since", "yesterday"}}, 200},
      {{{"If-Match", etag}}, 200},
      {{{"If-Match", "W/" + etag}}, 412},
      {{{"If-Match", "\"x\""}}, 412},
      {{{"If-Unmodified-Since", before}}, 412},
      {{{"If-Unmodified-Since", date}}, 200},
      {{{"Range", "bytes=0-1"}, {"If-Range", etag}}, 206},
      {{{"Range", "bytes=0-1"}, {"If-Range", "\"x\""}}, 200},
      {{{"Range", "bytes=0-1"}, {"If-Range", date}}, 206},
      {{{"Range", "bytes=0-1"}, {"If-Range", before}}, 200},
  };
  for (const auto& [headers, status] : cases)
    EXPECT_EQ(SelectFor(headers).status, status)
        << headers.begin()->first << ": " << headers.begin()->second;
}

}  // namespace
}  // namespace cogi::server
