// The client's side of FastCGI: it asks what FcgiReceiver understands, and takes nothing but lawful
// answers.
#include "cgi/fcgi_client.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "cgi/fastcgi_connection.h"
#include "cgi/http_connection.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi::fcgi {
namespace {

class Recorder final : public ResponseSink {
 public:
  void OnStdout(uint16_t id, std::string_view bytes) override { out[id] += bytes; }
  void OnStderr(uint16_t id, std::string_view bytes) override { err[id] += bytes; }
  void OnEnd(uint16_t id, uint32_t app_status, ProtocolStatus status) override {
    ended[id] = {app_status, static_cast<int>(status)};
  }
  void OnValues(const Values& given) override {
    ++value_answers;
    values = given;
  }

  std::map<uint16_t, std::string> out, err;
  std::map<uint16_t, std::pair<uint32_t, int>> ended;
  int value_answers = 0;
  Values values;
};

std::string Stream(Type type, uint16_t id, std::string_view bytes) {
  std::string out;
  AppendStream(out, type, id, bytes);
  return out;
}
std::string End(uint16_t id, uint32_t app = 0, ProtocolStatus status = {}) {
  std::string out;
  AppendEndRequest(out, id, app, status);
  return out;
}

struct Result {
  Recorder sink;
  std::string error;
  bool idle = false;
};

Result Receive(const std::vector<std::string>& pieces, std::vector<uint16_t> ids = {1}) {
  Result result;
  ResponseReceiver receiver;
  receiver.Reset();
  for (uint16_t id : ids) receiver.Open(id);
  for (std::string_view piece : pieces) {
    while (!piece.empty() && receiver.error() == nullptr) {
      piece.remove_prefix(receiver.Push(piece, result.sink));
    }
  }
  if (receiver.error() != nullptr) result.error = receiver.error();
  result.idle = receiver.idle();
  return result;
}

TEST(FcgiClient, ReadsAnAnswerHoweverItIsSplit) {
  std::string bytes = Record(Type::kStdout, 1, "Status: 200 OK\r\n", 3) +
                      Record(Type::kStderr, 1, "a warning", 7) +
                      Record(Type::kStdout, 1, "\r\nbody", 2) + Record(Type::kStderr, 1, "") +
                      Record(Type::kStdout, 1, "") + End(1, 7);
  for (size_t at = 0; at <= bytes.size() + 1; ++at) {
    Result result = Receive(at > bytes.size() ? ScriptedStream::Singles(bytes)
                                              : ScriptedStream::Split(bytes, at));
    ASSERT_EQ(result.error, "");
    EXPECT_EQ(result.sink.out[1], "Status: 200 OK\r\n\r\nbody");
    EXPECT_EQ(result.sink.err[1], "a warning");
    EXPECT_EQ(result.sink.ended[1], (std::pair<uint32_t, int>(7, 0)));
    EXPECT_TRUE(result.idle);
  }
}

TEST(FcgiClient, TellsMultiplexedAnswersApart) {
  Result result = Receive({Stream(Type::kStdout, 1, "a") + Stream(Type::kStdout, 2, "b") +
                           Stream(Type::kStdout, 1, "c") + End(2) + End(1)},
                          {1, 2});
  EXPECT_EQ(result.sink.out[1], "ac");
  EXPECT_EQ(result.sink.out[2], "b");
  EXPECT_TRUE(result.idle);
}

TEST(FcgiClient, GivesTheReasonOfARefusal) {
  Result result = Receive({End(1, 0, ProtocolStatus::kOverloaded)});
  EXPECT_EQ(result.sink.ended[1].second, 2);
}

TEST(FcgiClient, TakesNothingUnlawful) {
  const std::string cases[] = {
      Record(2, 6, 1, "x"),                    // version
      Stream(Type::kStdout, 9, "x"),           // not open
      End(1) + Stream(Type::kStdout, 1, "x"),  // after its end
      End(1) + End(1),                         // ended twice
      Record(Type::kEndRequest, 1, "short"),   // length
      Record(Type::kBeginRequest, 1, std::string(8, '\1')),
      Record(Type::kParams, 1, ""),
      Record(Type::kGetValuesResult, 1, ""),  // with an id
      Record(Type::kGetValuesResult, 0,
             "\x09\x01"
             "abc"),  // a pair that is cut
      Record(Type::kGetValuesResult, 0, std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)),
      std::string("HTTP/1.1 200 OK\r\n"),
  };
  for (const std::string& bytes : cases) {
    EXPECT_NE(Receive({bytes}).error, "") << testing::PrintToString(bytes);
    EXPECT_NE(Receive(ScriptedStream::Singles(bytes)).error, "");
  }
}

TEST(FcgiClient, ReadsWhatTheApplicationSaysOfItself) {
  std::string pairs = ParamBytes({{"FCGI_MAX_CONNS", "12"}, {"FCGI_MPXS_CONNS", "1"}, {"X", "y"}});
  Result result = Receive(ScriptedStream::Singles(Record(Type::kGetValuesResult, 0, pairs, 5)), {});
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.sink.value_answers, 1);
  EXPECT_EQ(result.sink.values.max_connections, 12U);
  EXPECT_EQ(result.sink.values.max_requests, 1U);
  EXPECT_TRUE(result.sink.values.multiplexes);
}

// An HTTP request, passed on over FastCGI to the front end of this server.
TEST(FcgiClient, AsksWhatTheServerUnderstands) {
  std::string asked;
  ScriptedStream http(
      {"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-Y: z\r\n\r\nabc"});
  RecordingEvents events;
  Limits limits;
  ConnectionInfo info;
  FunctionHandler relay([&](Request& request, Response&) {
    AppendRequestHead(asked, 5, Role::kResponder, false, request);
    asked += StdinRecords(5, "abc");
    AppendGetValues(asked);
  });
  HttpConnection(http, limits, info, events).Serve(relay);
  ScriptedStream fastcgi({asked});
  FunctionHandler answer([&](Request& request, Response& response) {
    int error = 0;
    EXPECT_EQ(request.method(), "POST");
    EXPECT_EQ(request.path(), "/a");
    EXPECT_EQ(request.query(), "b=c");
    EXPECT_EQ(request.Header("X-Y"), "z");
    EXPECT_EQ(ReadAll(request, error), "abc");
    response.Write("answer");
  });
  FastCgiConnection(fastcgi, limits, info, events).Serve(answer);
  Result result = Receive({fastcgi.written}, {5});
  EXPECT_EQ(result.error, "");
  EXPECT_TRUE(result.sink.out[5].ends_with("\r\n\r\nanswer"));
  EXPECT_TRUE(result.sink.ended.contains(5));
}

TEST(FcgiClient, AbortsARequestThatIsThenEnded) {
  std::string asked = Begin(5, true) + ParamRecords(5, PostParams(10));
  AppendAbortRequest(asked, 5);
  ScriptedStream fastcgi({asked});
  RecordingEvents events;
  Limits limits;
  ConnectionInfo info;
  FunctionHandler answer([](Request& request, Response&) {
    char byte;
    EXPECT_EQ(request.ReadBody(&byte, 1), -1);
    EXPECT_EQ(errno, ECANCELED);
  });
  FastCgiConnection(fastcgi, limits, info, events).Serve(answer);
  EXPECT_TRUE(Receive({fastcgi.written}, {5}).sink.ended.contains(5));
}

}  // namespace
}  // namespace cogi::cgi::fcgi
