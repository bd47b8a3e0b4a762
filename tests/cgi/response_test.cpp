// Response without a front end: what it hands to one.
#include "cgi/response.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

namespace cogi::cgi {
namespace {

class FakeFrontEnd final : public Response {
 public:
  using Response::body_short;
  using Response::End;
  using Response::StartOver;

  bool Emit(const Output& output) override {
    ++emits;
    heads += output.head ? 1 : 0;
    if (output.head) length = output.length;
    sent.append(output.body[0]).append(output.body[1]);
    file_bytes += output.file_size;
    ended = ended || output.end;
    if (fail_with == 0) return true;
    errno = fail_with;
    return false;
  }

  int emits = 0;
  int heads = 0;
  std::optional<uint64_t> length;
  std::string sent;
  size_t file_bytes = 0;
  bool ended = false;
  int fail_with = 0;
};

TEST(Response, SendsASmallAnswerAtOnceWithItsLength) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.Write("hello "));
  EXPECT_TRUE(response.Write("world"));
  EXPECT_EQ(response.emits, 0);
  EXPECT_TRUE(response.End());
  EXPECT_EQ(response.emits, 1);
  EXPECT_EQ(response.length, 11U);
  EXPECT_EQ(response.sent, "hello world");
  EXPECT_TRUE(response.ended);
}

TEST(Response, StreamsWhatExceedsTheBufferWithoutALength) {
  FakeFrontEnd response;
  std::string big(Response::kKeepBack, 'x');
  EXPECT_TRUE(response.Write("a"));
  EXPECT_TRUE(response.Write(big));
  EXPECT_EQ(response.emits, 1);
  EXPECT_EQ(response.length, std::nullopt);
  EXPECT_EQ(response.sent, "a" + big);
  EXPECT_TRUE(response.End());
  EXPECT_EQ(response.heads, 1);
}

TEST(Response, FlushSendsTheHeadEvenWithoutABody) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.Flush());
  EXPECT_TRUE(response.head_sent());
  EXPECT_FALSE(response.SetHeader("A", "b"));
  EXPECT_FALSE(response.SetStatus(404));
  EXPECT_FALSE(response.Reset());
  EXPECT_TRUE(response.Flush());
  EXPECT_EQ(response.emits, 1);
}

TEST(Response, RefusesHeadersThatWouldBreakTheAnswer) {
  FakeFrontEnd response;
  for (const char* name : {"", "A B", "A:", "A\r\n", "\xc3\xa4", "Connection", "keep-alive",
                           "Transfer-Encoding", "Trailer", "Upgrade", "TE", "Proxy-Connection"}) {
    EXPECT_FALSE(response.SetHeader(name, "x")) << name;
  }
  for (std::string value : {std::string("a\nb"), std::string("a\rb"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(response.AddHeader("A", value));
  }
  for (const char* length : {"", "-1", "+1", "1,1", "0x1", "99999999999999999999"}) {
    EXPECT_FALSE(response.SetHeader("Content-Length", length)) << length;
  }
  EXPECT_FALSE(response.SetHeader("A", std::string(300 * 1024, 'x')));
  EXPECT_TRUE(response.fields().empty());
  for (int status : {-1, 0, 99, 100, 199, 1000}) EXPECT_FALSE(response.SetStatus(status));
  EXPECT_FALSE(response.SetStatus(200, "a\nb"));
}

TEST(Response, SetReplacesAndAddAppends) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.AddHeader("Set-Cookie", "a"));
  EXPECT_TRUE(response.AddHeader("Set-Cookie", "b"));
  EXPECT_TRUE(response.SetHeader("content-type", "x/y"));
  EXPECT_TRUE(response.SetHeader("Content-Type", " z/z\t"));
  EXPECT_EQ(response.Header("CONTENT-TYPE"), "z/z");
  EXPECT_EQ(response.fields().size(), 3U);
  EXPECT_TRUE(response.RemoveHeader("set-cookie"));
  EXPECT_EQ(response.fields().size(), 1U);
}

TEST(Response, CutsABodyAtItsContentLength) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.SetHeader("Content-Length", "5"));
  EXPECT_TRUE(response.Write("hello world"));
  EXPECT_TRUE(response.Write("more"));
  EXPECT_TRUE(response.End());
  EXPECT_EQ(response.sent, "hello");
  EXPECT_EQ(response.length, 5U);
  EXPECT_TRUE(response.body_cut());
  EXPECT_TRUE(response.ended);
}

TEST(Response, ShorterThanItsContentLengthDoesNotEndCleanly) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.SetHeader("Content-Length", "50"));
  EXPECT_TRUE(response.Write("hello"));
  EXPECT_FALSE(response.End());
  EXPECT_TRUE(response.body_short());
  EXPECT_TRUE(response.aborted());
  EXPECT_FALSE(response.ended);
}

TEST(Response, HasNoBodyWhereNoneIsAllowed) {
  for (int status : {204, 304}) {
    FakeFrontEnd response;
    response.SetStatus(status);
    EXPECT_TRUE(response.Write("x"));
    EXPECT_TRUE(response.End());
    EXPECT_EQ(response.sent, "");
  }
  FakeFrontEnd head;
  head.StartOver(false);
  EXPECT_TRUE(head.Write(std::string(100000, 'x')));
  EXPECT_TRUE(head.End());
  EXPECT_EQ(head.sent, "");
  EXPECT_EQ(head.length, 100000U);
  FakeFrontEnd empty_head;
  empty_head.StartOver(false);
  EXPECT_TRUE(empty_head.End());
  EXPECT_EQ(empty_head.length, std::nullopt);
}

TEST(Response, AStatusThatForbidsABodyAfterItWasWrittenDropsIt) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.Write("x"));
  EXPECT_TRUE(response.SetStatus(204));
  EXPECT_TRUE(response.End());
  EXPECT_EQ(response.sent, "");
}

TEST(Response, KeepsTheFirstErrorAndSendsNoMore) {
  FakeFrontEnd response;
  response.fail_with = EPIPE;
  EXPECT_TRUE(response.Write("x"));
  EXPECT_FALSE(response.Flush());
  EXPECT_EQ(errno, EPIPE);
  response.fail_with = EIO;
  EXPECT_FALSE(response.Write("y"));
  EXPECT_EQ(errno, EPIPE);
  EXPECT_FALSE(response.End());
  EXPECT_EQ(response.emits, 1);
  EXPECT_TRUE(response.aborted());
}

TEST(Response, AbortSendsNothingMore) {
  FakeFrontEnd response;
  EXPECT_TRUE(response.Write("x"));
  response.Abort();
  EXPECT_FALSE(response.Write("y"));
  EXPECT_FALSE(response.End());
  EXPECT_EQ(response.emits, 0);
}

TEST(Response, IsAsNewWhenItStartsOver) {
  FakeFrontEnd response;
  response.SetStatus(500, "Oops");
  response.SetHeader("Content-Length", "1");
  response.Write("abc");
  response.End();
  response.StartOver(true);
  EXPECT_EQ(response.status(), 200);
  EXPECT_EQ(response.reason(), "");
  EXPECT_TRUE(response.fields().empty());
  EXPECT_EQ(response.body_bytes(), 0U);
  EXPECT_FALSE(response.body_cut());
  EXPECT_TRUE(response.Write("abc"));
  EXPECT_TRUE(response.End());
  EXPECT_EQ(response.sent, "aabc");
}

}  // namespace
}  // namespace cogi::cgi
