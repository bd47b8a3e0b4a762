// The HTTP front end, request by request, with the peer scripted: each framing vector is given
// whole, after a good request, one byte at a time and split at every byte. The verdict may not
// depend on it.
#include "cgi/http_connection.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi {
namespace {

constexpr const char* kGood = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";

struct Result {
  std::string written;
  std::vector<int> statuses;  // of all final answers, in their order
  std::vector<std::string> codes;
  int handled = 0;
  bool shut = false;
};

// The statuses in a stream of answers: a status line begins the stream or follows another answer,
// and no body of these tests has "HTTP/1.1 " in it.
std::vector<int> Statuses(const std::string& written) {
  std::vector<int> statuses;
  for (size_t at = 0; (at = written.find("HTTP/1.1 ", at)) != std::string::npos; ++at) {
    int status = std::stoi(written.substr(at + 9, 3));
    if (status != 100) statuses.push_back(status);
  }
  return statuses;
}

// Serves the pieces with a handler that reads the body and answers its length.
Result Serve(std::vector<std::string> pieces, const Limits& limits = {}) {
  ScriptedStream stream(std::move(pieces));
  RecordingEvents events;
  ConnectionInfo info{"127.0.0.1", "127.0.0.2", 4321, 80};
  Result result;
  FunctionHandler handler([&](Request& request, Response& response) {
    ++result.handled;
    int error = 0;
    std::string body = ReadAll(request, error);
    response.SetHeader("Content-Type", "text/plain");
    response.Write(error == 0 ? "body " + std::to_string(body.size()) : "error");
  });
  HttpConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.started, events.finished);
  result.written = stream.written;
  result.statuses = Statuses(stream.written);
  result.codes = events.codes;
  result.shut = stream.shut;
  return result;
}

struct Vector {
  const char* name;
  std::string bytes;
  int status;  // of the last answer
};

void PrintTo(const Vector& vector, std::ostream* out) { *out << vector.name; }

std::string Get(const std::string& fields) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string Post(const std::string& fields, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}
std::string Line(const std::string& line) { return line + "\r\nHost: a\r\n\r\n"; }
std::string Chunked(const std::string& body) {
  return Post("Transfer-Encoding: chunked\r\n", body);
}
std::string WithNul(const char* before, const char* after) {
  return std::string(before) + '\0' + after;
}

// After each of these nothing more may be read as a request.
const Vector kRefused[] = {
    // Framing (RFC 9112 6).
    {"ContentLengthAndTransferEncoding",
     Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingAndContentLength",
     Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
    {"TwoContentLengths", Post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400},
    {"TwoEqualContentLengths", Post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), 400},
    {"ContentLengthList", Post("Content-Length: 1, 1\r\n", "a"), 400},
    {"ContentLengthEmpty", Post("Content-Length:\r\n", ""), 400},
    {"ContentLengthPlus", Post("Content-Length: +5\r\n", "abcde"), 400},
    {"ContentLengthNegative", Post("Content-Length: -1\r\n", ""), 400},
    {"ContentLengthMinusZero", Post("Content-Length: -0\r\n", ""), 400},
    {"ContentLengthHex", Post("Content-Length: 0x5\r\n", "abcde"), 400},
    {"ContentLengthUnderscore", Post("Content-Length: 1_0\r\n", "a"), 400},
    {"ContentLengthSpace", Post("Content-Length: 1 0\r\n", "a"), 400},
    {"ContentLengthComma", Post("Content-Length: 5,5\r\n", "abcde"), 400},
    {"ContentLengthHuge", Post("Content-Length: 99999999999999999999999\r\n", "a"), 400},
    {"ContentLengthTwoTo63", Post("Content-Length: 9223372036854775808\r\n", "a"), 400},
    {"ContentLengthOverLimit", Post("Content-Length: 999999999\r\n", ""), 413},
    {"CodingNotChunkedLast", Post("Transfer-Encoding: chunked, gzip\r\n", ""), 400},
    {"CodingIdentity", Post("Transfer-Encoding: identity\r\n", ""), 400},
    {"CodingChunkedTwice", Post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
    {"TwoTransferEncodings",
     Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"TwoTransferEncodingsIdentity",
     Post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"CodingUnknownBeforeChunked", Post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
    {"CodingObfuscated", Post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400},
    {"CodingWithNul", Post(WithNul("Transfer-Encoding: chunked", "\r\n"), "0\r\n\r\n"), 400},
    {"CodingWithVerticalTab",
     Post("Transfer-Encoding: \x0b"
          "chunked\r\n",
          "0\r\n\r\n"),
     400},
    {"CodingLeadingComma", Post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400},
    {"CodingNoBreakSpace",
     Post("Transfer-Encoding: \xa0"
          "chunked\r\n",
          "0\r\n\r\n"),
     400},
    {"CodingQuoted", Post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400},
    {"CodingParameter", Post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingSpaceBeforeColon", Post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingTabBeforeColon", Post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingUnderscore", Post("Transfer_Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingDot", Post("Transfer.Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"ContentLengthUnderscoreName", Post("Content_Length: 3\r\n", "abc"), 400},
    {"TransferEncodingFolded", Post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
    {"TransferEncodingInHttp10",
     "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    // Chunks (RFC 9112 7.1).
    {"ChunkSizeEmpty", Chunked("\r\n0\r\n\r\n"), 400},
    {"ChunkSizePrefix", Chunked("0x5\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizePlus", Chunked("+5\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeMinus", Chunked("-1\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeUnderscore", Chunked("5_\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeLeadingSpace", Chunked(" 5\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeTrailingSpace", Chunked("5 \r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeSixteenDigits", Chunked("0000000000000005\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeOverflow", Chunked("10000000000000005\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeHuge", Chunked("7fffffffffffffff\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeLf", Chunked("5\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkSizeCr", Chunked("5\rabcde\r\n0\r\n\r\n"), 400},
    {"ChunkExtensionLf", Chunked("5;a\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkExtensionControl", Chunked("5;a\x01\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkExtensionNoName", Chunked("5;\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkExtensionBadQuote", Chunked("5;a=\"b\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkExtensionAfterQuote", Chunked("5;a=\"b\"c\r\nabcde\r\n0\r\n\r\n"), 400},
    {"ChunkDataLf", Chunked("5\r\nabcde\n0\r\n\r\n"), 400},
    {"ChunkDataLonger", Chunked("5\r\nabcdef\r\n0\r\n\r\n"), 400},
    {"ChunkDataShorter", Chunked("5\r\nabcd\r\n0\r\n\r\n"), 400},
    {"ChunkTrailerLf", Chunked("0\r\nA: b\n\r\n"), 400},
    {"ChunkTrailerNoColon", Chunked("0\r\nA\r\n\r\n"), 400},
    {"ChunkTrailerFolded", Chunked("0\r\nA: b\r\n c\r\n\r\n"), 400},
    {"ChunkEndLf", Chunked("0\r\n\n"), 400},
    // Lines (RFC 9112 2.2).
    {"BareLfInRequestLine", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
    {"BareLfInHeader", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
    {"BareLfEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
    {"BareCrInValue", Get("X: a\rb\r\n"), 400},
    {"BareCrAsLineEnd", "GET / HTTP/1.1\rHost: a\r\r", 400},
    {"NulInValue", Get(WithNul("X: a", "b\r\n")), 400},
    {"DelInValue", Get("X: a\x7f\r\n"), 400},
    {"ControlInValue", Get("X: a\x08\r\n"), 400},
    {"Folded", Get("X: a\r\n b\r\n"), 400},
    {"FoldedTab", Get("X: a\r\n\tb\r\n"), 400},
    {"SpaceBeforeFirstHeader", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    {"SpaceBeforeColon", Get("X : a\r\n"), 400},
    {"NoColon", Get("X\r\n"), 400},
    {"EmptyName", Get(": a\r\n"), 400},
    {"SpaceInName", Get("X Y: a\r\n"), 400},
    {"TwoEmptyLines", "\r\n\r\n" + Get(""), 400},
    // Expect (RFC 9110 10.1.1).
    {"ExpectUnknown", Get("Expect: 200-ok\r\n"), 417},
    {"ExpectTwice", Get("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417},
    // Methods, targets, versions.
    {"ConnectMethod", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501},
    {"TraceMethod", Line("TRACE / HTTP/1.1"), 501},
    {"UnknownMethod", Line("FROB / HTTP/1.1"), 501},
    {"LowerCaseMethod", Line("get / HTTP/1.1"), 501},
    {"LongMethod", Line(std::string(300, 'A') + " / HTTP/1.1"), 501},
    {"BadMethod", Line("GE(T / HTTP/1.1"), 400},
    {"EmptyMethod", Line(" / HTTP/1.1"), 400},
    {"NulInMethod", WithNul("GE", "T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"Http09", "GET /\r\n", 400},
    {"Http09WithHeader", Line("GET /"), 400},
    {"VersionShort", Line("GET / HTTP/1"), 400},
    {"VersionLongMinor", Line("GET / HTTP/1.32"), 400},
    {"VersionLeadingZero", Line("GET / HTTP/01.01"), 400},
    {"VersionTwo", Line("GET / HTTP/2.0"), 505},
    {"VersionNine", Line("GET / HTTP/9.9"), 505},
    {"VersionZeroNine", Line("GET / HTTP/0.9"), 505},
    {"VersionOneTwo", Line("GET / HTTP/1.2"), 505},
    {"VersionOverflow", Line("GET / HTTP/4294967297.1"), 400},
    {"VersionLowerCase", Line("GET / http/1.1"), 400},
    {"VersionTrailingSpace", Line("GET / HTTP/1.1 "), 400},
    {"TwoSpaces", Line("GET  / HTTP/1.1"), 400},
    {"TabInsteadOfSpace", Line("GET\t/ HTTP/1.1"), 400},
    {"SpaceInTarget", Line("GET /a b HTTP/1.1"), 400},
    {"Fragment", Line("GET /a#b HTTP/1.1"), 400},
    {"RelativeTarget", Line("GET admin HTTP/1.1"), 400},
    {"AuthorityFormForGet", Line("GET a:80 HTTP/1.1"), 400},
    {"AsteriskForGet", Line("GET * HTTP/1.1"), 400},
    {"AsteriskWithPath", Line("OPTIONS */x HTTP/1.1"), 400},
    {"OtherScheme", Line("GET ftp://a/ HTTP/1.1"), 400},
    {"UserInTarget", Line("GET http://u@a/ HTTP/1.1"), 400},
    // Paths.
    {"PathPercent", Line("GET /% HTTP/1.1"), 400},
    {"PathPercentOne", Line("GET /%1 HTTP/1.1"), 400},
    {"PathPercentLetters", Line("GET /%zz HTTP/1.1"), 400},
    {"PathNul", Line("GET /%00 HTTP/1.1"), 400},
    {"PathNulInside", Line("GET /a%00.html HTTP/1.1"), 400},
    {"PathControl",
     Line("GET /a\x01"
          "b HTTP/1.1"),
     400},
    {"PathDel",
     Line("GET /a\x7f"
          "b HTTP/1.1"),
     400},
    {"PathCrLf", Line("GET /%0d%0aX HTTP/1.1"), 400},
    {"PathBackslash", Line("GET /a\\b HTTP/1.1"), 400},
    {"PathAboveRoot", Line("GET /../etc/passwd HTTP/1.1"), 400},
    {"PathAboveRootEncoded", Line("GET /%2e%2e/etc/passwd HTTP/1.1"), 400},
    {"PathAboveRootDeep", Line("GET /a/../../etc HTTP/1.1"), 400},
    {"PathEncodedSlash", Line("GET /a%2Fb HTTP/1.1"), 400},
    {"PathEncodedSlashLower", Line("GET /a%2fb HTTP/1.1"), 400},
    // Host (RFC 9112 3.2).
    {"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
    {"TwoHosts", Get("Host: b\r\n"), 400},
    {"TwoEqualHosts", Get("Host: a\r\n"), 400},
    {"HostEmpty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"HostList", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400},
    {"HostUser", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"HostPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"HostDots", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400},
    {"HostSpace", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"HostLongPort", "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400},
    {"HostPortOverflow", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
    {"HostPortLetters", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
    {"HostIpv6Open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
    {"HostIpv6Bad", "GET / HTTP/1.1\r\nHost: [::1::2]\r\n\r\n", 400},
    {"HostIpv6Trailing", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400},
    {"AbsoluteFormWithoutHost", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
    {"TwoContentTypes", Get("Content-Type: a/b\r\nContent-Type: c/d\r\n"), 400},
    // Not HTTP at all.
    {"SshBanner", "SSH-2.0-OpenSSH_9.2\r\n", 400},
    {"TlsHello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400},
    {"Garbage", std::string("\x80\x81\x82 \x01\x02", 6), 400},
};

class RefusedVector : public testing::TestWithParam<Vector> {};

INSTANTIATE_TEST_SUITE_P(Http, RefusedVector, testing::ValuesIn(kRefused),
                         [](const auto& test) { return std::string(test.param.name); });

// One promise for all of them: one answer of that status, the connection closed, what follows
// unread.
void ExpectRefused(const Vector& vector, const Result& result, size_t answers_before) {
  ASSERT_EQ(result.statuses.size(), answers_before + 1) << result.written;
  EXPECT_EQ(result.statuses.back(), vector.status) << result.written;
  size_t last = result.written.rfind("HTTP/1.1 ");
  EXPECT_NE(result.written.find("Connection: close\r\n", last), std::string::npos);
  EXPECT_EQ(result.codes.size(), 1U);
  EXPECT_TRUE(result.shut) << "the connection was closed without lingering";
}

TEST_P(RefusedVector, IsAnsweredOnceAndClosed) {
  ExpectRefused(GetParam(), Serve({GetParam().bytes}), 0);
}

TEST_P(RefusedVector, EndsAPipelineOfGoodRequests) {
  Result result = Serve({std::string(kGood) + GetParam().bytes + kGood});
  ExpectRefused(GetParam(), result, 1);
}

TEST_P(RefusedVector, IsRefusedHoweverItIsSplit) {
  for (size_t at = 1; at < GetParam().bytes.size(); ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    ExpectRefused(GetParam(), Serve(ScriptedStream::Split(GetParam().bytes, at)), 0);
    if (HasFailure()) return;
  }
  ExpectRefused(GetParam(), Serve(ScriptedStream::Singles(GetParam().bytes)), 0);
}

// Each of these is followed by a good request, which must be answered too.
struct Accepted {
  const char* name;
  std::string bytes;
  std::string body;  // that of the answer
  int status = 200;
};

void PrintTo(const Accepted& accepted, std::ostream* out) { *out << accepted.name; }

const Accepted kAccepted[] = {
    {"Plain", Get(""), "body 0"},
    {"OneEmptyLineBefore", "\r\n" + Get(""), "body 0"},
    {"HostPort", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "body 0"},
    {"HostEmptyPort", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "body 0"},
    {"HostIpv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "body 0"},
    {"AbsoluteForm", "GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "body 0"},
    {"PathEncodedDot", Line("GET /%252e%252e/ HTTP/1.1"), "body 0"},
    {"PathOverlongUtf8", Line("GET /%c0%ae%c0%ae/ HTTP/1.1"), "body 0"},
    {"PathParameterDots", Line("GET /a/..;/b HTTP/1.1"), "body 0"},
    {"QueryWithPercent", Line("GET /?100% HTTP/1.1"), "body 0"},
    {"TabInValue", Get("X: a\tb\r\n"), "body 0"},
    {"HighBytesInValue", Get("X: \xc3\xa4\r\n"), "body 0"},
    {"EmptyValue", Get("X:\r\n"), "body 0"},
    {"UpgradeIgnored", Get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"), "body 0"},
    {"ConnectionListWithGaps", Get("Connection: a,,b\r\n"), "body 0"},
    {"ContentLength", Post("Content-Length: 5\r\n", "abcde"), "body 5"},
    {"ContentLengthZero", Post("Content-Length: 0\r\n", ""), "body 0"},
    {"ContentLengthLeadingZeros", Post("Content-Length: 005\r\n", "abcde"), "body 5"},
    {"GetWithBody", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "body 3"},
    {"ChunkedEmpty", Chunked("0\r\n\r\n"), "body 0"},
    {"ChunkedTwo", Chunked("5\r\nabcde\r\nA\r\n0123456789\r\n0\r\n\r\n"), "body 15"},
    {"ChunkedUpperName", Post("Transfer-Encoding: Chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "body 1"},
    {"ChunkedZeros", Chunked("005\r\nabcde\r\n000\r\n\r\n"), "body 5"},
    {"ChunkExtensions", Chunked("5;a;b=c;d=\"e;\\\"f\"\r\nabcde\r\n0;z\r\n\r\n"), "body 5"},
    {"ChunkTrailers", Chunked("1\r\na\r\n0\r\nContent-Length: 9\r\nHost: x\r\n\r\n"), "body 1"},
    {"OptionsAsterisk", Line("OPTIONS * HTTP/1.1"), "", 204},
};

class AcceptedVector : public testing::TestWithParam<Accepted> {};

INSTANTIATE_TEST_SUITE_P(Http, AcceptedVector, testing::ValuesIn(kAccepted),
                         [](const auto& test) { return std::string(test.param.name); });

void ExpectAccepted(const Accepted& accepted, const Result& result) {
  ASSERT_EQ(result.statuses, (std::vector<int>{accepted.status, 200})) << result.written;
  size_t second = result.written.rfind("HTTP/1.1 ");
  EXPECT_TRUE(result.written.substr(0, second).ends_with("\r\n\r\n" + accepted.body))
      << result.written;
  EXPECT_TRUE(result.written.ends_with("body 0"));
  EXPECT_TRUE(result.codes.empty());
}

TEST_P(AcceptedVector, IsAnsweredAndTheNextRequestToo) {
  ExpectAccepted(GetParam(), Serve({GetParam().bytes + kGood}));
}

TEST_P(AcceptedVector, IsReadTheSameHoweverItIsSplit) {
  std::string bytes = GetParam().bytes + kGood;
  for (size_t at = 1; at < bytes.size(); ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    ExpectAccepted(GetParam(), Serve(ScriptedStream::Split(bytes, at)));
    if (HasFailure()) return;
  }
  ExpectAccepted(GetParam(), Serve(ScriptedStream::Singles(bytes)));
}

TEST(HttpLimits, RefuseAtTheLimitAndBeforeBufferingMore) {
  Limits limits;
  limits.request_line = 100;
  limits.header_block = 400;
  limits.header_fields = 5;
  std::string fits = "GET /" + std::string(86, 'a') + " HTTP/1.1";
  ASSERT_EQ(fits.size(), 100U);
  EXPECT_EQ(Serve({Line(fits)}, limits).statuses, std::vector<int>{200});
  EXPECT_EQ(Serve({Line("GET /a" + fits.substr(5))}, limits).statuses, std::vector<int>{414});
  EXPECT_EQ(Serve({std::string(101, 'A')}, limits).statuses, std::vector<int>{414});
  EXPECT_EQ(Serve({Get("X: " + std::string(400, 'x'))}, limits).statuses, std::vector<int>{431});
  EXPECT_EQ(Serve({Get("A:b\r\nA:b\r\nA:b\r\nA:b\r\n")}, limits).statuses, std::vector<int>{200});
  EXPECT_EQ(Serve({Get("A:b\r\nA:b\r\nA:b\r\nA:b\r\nA:b\r\n")}, limits).statuses,
            std::vector<int>{431});
  std::string trailers = "0\r\nA: " + std::string(400, 'x') + "\r\n\r\n";
  EXPECT_EQ(Serve({Chunked(trailers)}, limits).statuses, std::vector<int>{400});
}

TEST(HttpLimits, HoldForTheHeaderBlockAsAWholeAtItsDefault) {
  std::string fields;
  for (int i = 0; i < 99; ++i) fields += "Name-" + std::to_string(i) + ": value\r\n";
  EXPECT_EQ(Serve({Get(fields)}).statuses, std::vector<int>{200});
  EXPECT_EQ(Serve({Get(fields + "X: y\r\n")}).statuses, std::vector<int>{431});
  EXPECT_EQ(Serve({Get("X: " + std::string(32 * 1024 - 40, 'x') + "\r\n")}).statuses,
            std::vector<int>{200});
  EXPECT_EQ(Serve({Get("X: " + std::string(32 * 1024, 'x') + "\r\n")}).statuses,
            std::vector<int>{431});
}

TEST(HttpLimits, RefuseAChunkedBodyThatGrowsOverTheLimit) {
  Limits limits;
  limits.body = 10;
  EXPECT_EQ(Serve({Chunked("A\r\n0123456789\r\n0\r\n\r\n")}, limits).statuses,
            std::vector<int>{200});
  EXPECT_EQ(Serve({Chunked("B\r\n0123456789a\r\n0\r\n\r\n")}, limits).statuses,
            std::vector<int>{413});
}

TEST(HttpLimits, RefuseChunkExtensionsThatOutweighTheBody) {
  std::string body;
  for (int i = 0; i < 20; ++i) body += "1;" + std::string(2000, 'x') + "\r\na\r\n";
  EXPECT_EQ(Serve({Chunked(body + "0\r\n\r\n")}).statuses, std::vector<int>{400});
  std::string tiny;
  for (int i = 0; i < 5000; ++i) tiny += "1\r\na\r\n";
  Result result = Serve({Chunked(tiny + "0\r\n\r\n")});
  EXPECT_TRUE(result.written.ends_with("body 5000"));
}

// What lies behind a complete request is another one, and judged as such.
TEST(HttpPipeline, JunkBehindARequestIsRefusedAndEndsTheConnection) {
  for (const std::string& request : {Get(""), Get("Content-Length: 0\r\n"),
                                     Post("Content-Length: 3\r\n", "abc"), Chunked("0\r\n\r\n")}) {
    Result result = Serve({request + "junk\r\n\r\n" + kGood});
    EXPECT_EQ(result.statuses, (std::vector<int>{200, 400})) << request;
  }
}

TEST(HttpPipeline, NothingIsReadBehindConnectionClose) {
  for (const std::string& request :
       {Get("Connection: close\r\n"), Post("Connection: close\r\nContent-Length: 3\r\n", "abc"),
        std::string("GET / HTTP/1.0\r\n\r\n")}) {
    Result result = Serve({request + kGood});
    EXPECT_EQ(result.handled, 1) << request;
    EXPECT_TRUE(result.shut);
  }
}

TEST(HttpTruncated, BodiesAreNeverTakenForComplete) {
  for (const std::string& bytes : {Post("Content-Length: 5\r\n", "abcd"), Chunked("5\r\nabcd"),
                                   Chunked("5\r\nabcde\r\n"), Chunked("5\r\nabcde\r\n0\r\n")}) {
    Result result = Serve({bytes});
    EXPECT_EQ(result.handled, 1);
    EXPECT_EQ(result.written.find("body"), std::string::npos) << result.written;
    EXPECT_EQ(result.codes, std::vector<std::string>{"truncated_body"});
  }
}

TEST(HttpTruncated, NothingIsSaidToAConnectionThatNeverSpoke) {
  Result result = Serve({});
  EXPECT_EQ(result.written, "");
  EXPECT_TRUE(result.codes.empty());
}

TEST(HttpTruncated, AHeaderThatEndsInTheMiddleIsCountedAndClosed) {
  Result result = Serve({"GET / HTTP/1.1\r\nHo"});
  EXPECT_EQ(result.written, "");
  EXPECT_EQ(result.codes, std::vector<std::string>{"truncated_header"});
}

}  // namespace
}  // namespace cogi::cgi
