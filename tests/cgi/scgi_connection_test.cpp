#include "cgi/scgi_connection.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi {
namespace {

struct Result {
  std::string written;
  std::vector<std::string> codes;
  int handled = 0;
};

Result Serve(std::vector<std::string> pieces, const Limits& limits = {},
             FunctionHandler::Function serve = nullptr) {
  ScriptedStream stream(std::move(pieces));
  RecordingEvents events;
  ConnectionInfo info;
  Result result;
  FunctionHandler handler([&](Request& request, Response& response) {
    ++result.handled;
    if (serve) return serve(request, response);
    int error = 0;
    response.Write(ReadAll(request, error));
    if (error != 0) response.Write("error");
  });
  ScgiConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.started, events.finished);
  result.written = stream.written;
  result.codes = events.codes;
  return result;
}

std::string Pair(const std::string& name, const std::string& value) {
  return name + '\0' + value + '\0';
}
std::string Netstring(const std::string& text) {
  return std::to_string(text.size()) + ":" + text + ",";
}
std::string Head(const std::string& length, const std::string& more = "") {
  return Netstring(Pair("CONTENT_LENGTH", length) + Pair("SCGI", "1") +
                   Pair("REQUEST_METHOD", "POST") + Pair("REQUEST_URI", "/a%20b?c") + more);
}

TEST(Scgi, AnswersLikeACgiProgramHoweverTheRequestIsSplit) {
  std::string bytes = Head("5") + "hello";
  std::string answer = "Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t at = 0; at <= bytes.size(); ++at) {
    ASSERT_EQ(Serve(ScriptedStream::Split(bytes, at)).written, answer) << at;
  }
  EXPECT_EQ(Serve(ScriptedStream::Singles(bytes)).written, answer);
  EXPECT_EQ(Serve({bytes + "more than announced"}).written, answer);
}

TEST(Scgi, HasTheRequestOfItsParameters) {
  Serve({Head("0", Pair("HTTP_X_Y", "z") + Pair("HTTP_PROXY", "evil") + Pair("QUERY_STRING", "c"))},
        {}, [](Request& request, Response&) {
          EXPECT_EQ(request.method(), "POST");
          EXPECT_EQ(request.path(), "/a b");
          EXPECT_EQ(request.target(), "/a%20b?c");
          EXPECT_EQ(request.query(), "c");
          EXPECT_EQ(request.Header("x-y"), "z");
          EXPECT_EQ(request.Variable("HTTP_PROXY"), std::nullopt);
          EXPECT_EQ(request.content_length(), 0U);
        });
}

TEST(Scgi, UnlawfulHeadsEndTheConnection) {
  struct {
    std::string bytes;
    const char* code;
  } cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "scgi_bad_header"},
      {":,", "scgi_bad_header"},
      {"0:,", "scgi_bad_header"},
      {"05:hello,", "scgi_bad_header"},
      {"-1:,", "scgi_bad_header"},
      {" 5:hello,", "scgi_bad_header"},
      {"5:hello;", "scgi_bad_header"},
      {"5:hello,", "scgi_bad_header"},
      {"99999999999999999999:", "scgi_limit"},
      {"65537:", "scgi_limit"},
      {Head("x"), "scgi_bad_header"},
      {Head("-1"), "scgi_bad_header"},
      {Head(""), "scgi_bad_header"},
      {Netstring(Pair("SCGI", "1") + Pair("CONTENT_LENGTH", "0")), "scgi_bad_header"},
      {Netstring(Pair("CONTENT_LENGTH", "0") + Pair("SCGI", "2")), "scgi_bad_header"},
      {Netstring(Pair("CONTENT_LENGTH", "0")), "scgi_bad_header"},
      {Head("0", Pair("A", "b") + Pair("A", "c")), "scgi_bad_header"},
      {Head("0", "A"), "scgi_bad_header"},
      {Head("0").substr(0, 30), "scgi_truncated"},
      {"5", "scgi_truncated"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(testing::PrintToString(test.bytes));
    for (auto pieces :
         {std::vector<std::string>{test.bytes}, ScriptedStream::Singles(test.bytes)}) {
      Result result = Serve(pieces);
      EXPECT_EQ(result.codes, std::vector<std::string>{test.code});
      EXPECT_EQ(result.written, "");
      EXPECT_EQ(result.handled, 0);
    }
  }
  EXPECT_TRUE(Serve({}).codes.empty());
}

TEST(Scgi, LimitsTheNumberOfPairsAndTheBody) {
  Limits limits;
  limits.params_pairs = 5;
  limits.body = 10;
  EXPECT_EQ(Serve({Head("0", Pair("A", "b"))}, limits).handled, 1);
  EXPECT_EQ(Serve({Head("0", Pair("A", "b") + Pair("C", "d"))}, limits).codes,
            std::vector<std::string>{"scgi_limit"});
  Result result = Serve({Head("11") + "hello world"}, limits);
  EXPECT_TRUE(result.written.starts_with("Status: 413 "));
  EXPECT_EQ(result.handled, 0);
}

TEST(Scgi, ATruncatedBodyIsNeverTakenForComplete) {
  Result result = Serve({Head("10") + "hello"});
  EXPECT_EQ(result.codes, std::vector<std::string>{"truncated_body"});
  EXPECT_EQ(result.written, "");
}

TEST(Scgi, ARouteMayNarrowTheBodyLimit) {
  Result result = Serve({Head("5") + "hello"}, {}, [](Request& request, Response& response) {
    request.set_terms({.body = 4});
    int error = 0;
    ReadAll(request, error);
    EXPECT_EQ(error, EMSGSIZE);
    response.Write("kept back, so replaced");
  });
  EXPECT_TRUE(result.written.starts_with("Status: 413 "));
}

TEST(Scgi, RefusesWhatNoRequestMaySay) {
  std::string head = Netstring(Pair("CONTENT_LENGTH", "0") + Pair("SCGI", "1") +
                               Pair("REQUEST_METHOD", "GET") + Pair("REQUEST_URI", "/../x"));
  EXPECT_TRUE(Serve({head}).written.starts_with("Status: 400 "));
}

TEST(Scgi, StreamsAndSendsFiles) {
  FILE* file = tmpfile();
  fputs("0123456789", file);
  fflush(file);
  Result result = Serve({Head("0")}, {}, [&](Request&, Response& response) {
    response.Write("a");
    response.Flush();
    response.SendFile(fileno(file), 2, 3);
    response.Write("b");
  });
  EXPECT_EQ(result.written, "Status: 200 OK\r\n\r\na234b");
  fclose(file);
}

}  // namespace
}  // namespace cogi::cgi
