// The FastCGI front end with the peer scripted: each case is given whole, one byte at a time and
// split at every byte. The verdict may not depend on it.
#include "cgi/fastcgi_connection.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/cgi/fastcgi_cases.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi::fcgi {
namespace {

struct Result {
  Answers answers;
  std::vector<std::string> codes;
  int handled = 0;
  int writes = 0;
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
    std::string body = ReadAll(request, error);
    response.SetHeader("Content-Type", "text/plain");
    response.Write(error == 0 ? "body " + std::to_string(body.size()) : "error");
  });
  FastCgiConnection connection(stream, limits, info, events);
  connection.set_values({100, 50, false});
  connection.Serve(handler);
  EXPECT_EQ(events.started, events.finished);
  result.answers = Parse(stream.written);
  EXPECT_EQ(result.answers.error, "");
  for (const auto& [id, answer] : result.answers.requests) EXPECT_LE(answer.ends, 1) << id;
  result.codes = events.codes;
  result.writes = stream.writes;
  return result;
}

void ExpectBody(const Result& result, uint16_t id, const std::string& body) {
  ASSERT_TRUE(result.answers.requests.contains(id));
  const Answer& answer = result.answers.requests.at(id);
  EXPECT_TRUE(answer.out.starts_with("Status: 200 OK\r\n")) << answer.out;
  EXPECT_TRUE(answer.out.ends_with("\r\n\r\n" + body)) << answer.out;
  EXPECT_TRUE(answer.out_ended);
  EXPECT_EQ(answer.ends, 1);
  EXPECT_EQ(answer.protocol_status, 0);
}

class FastCgiCase : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(FastCgi, FastCgiCase, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

void ExpectCase(const Case& test, const Result& result) {
  bool refused = *test.code != '\0';
  ASSERT_EQ(result.codes,
            refused ? std::vector<std::string>{test.code} : std::vector<std::string>{});
  EXPECT_EQ(result.handled, test.handled + (test.goes_on ? 1 : 0));
  if (test.goes_on) ExpectBody(result, 3, "body 0");
}

TEST_P(FastCgiCase, HasItsVerdict) {
  ExpectCase(GetParam(), Serve({GetParam().bytes + GetRequest(3, true)}));
}

TEST_P(FastCgiCase, HasTheSameVerdictAfterAnotherRequest) {
  Result result = Serve({GetRequest(2, true) + GetParam().bytes + GetRequest(3, true)});
  --result.handled;
  ExpectCase(GetParam(), result);
  ExpectBody(result, 2, "body 0");
}

TEST_P(FastCgiCase, HasTheSameVerdictHoweverItIsSplit) {
  std::string bytes = GetParam().bytes + GetRequest(3, true);
  for (size_t at = 1; at < bytes.size(); ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    ExpectCase(GetParam(), Serve(ScriptedStream::Split(bytes, at)));
    if (HasFailure()) return;
  }
  ExpectCase(GetParam(), Serve(ScriptedStream::Singles(bytes)));
}

TEST(FastCgiParams, MaySplitOverRecordsAtEveryByte) {
  Params params = GetParams();
  params.emplace_back("HTTP_X_LONG", std::string(300, 'x'));
  params.emplace_back(std::string(200, 'N'), "v");
  size_t size = ParamBytes(params).size();
  for (size_t at = 1; at < size; ++at) {
    std::string seen;
    auto serve = [&](Request& request, Response&) { seen = request.Header("x-long"); };
    Result result = Serve({TwoRecords(params, at)}, {}, serve);
    ASSERT_EQ(seen, std::string(300, 'x')) << at;
    ASSERT_EQ(result.handled, 1) << at;
  }
}

TEST(FastCgiParams, AreLimitedInBytesAndInNumber) {
  Limits limits;
  limits.params_bytes = 1000;
  limits.params_pairs = 10;
  Params many = GetParams();
  while (many.size() < 10) many.emplace_back("A", "b");
  auto request = [](const Params& params) {
    return Begin(kId, true) + ParamRecords(kId, params) + StdinRecords(kId, "");
  };
  EXPECT_EQ(Serve({request(many)}, limits).handled, 1);
  many.emplace_back("A", "b");
  EXPECT_EQ(Serve({request(many)}, limits).codes, std::vector<std::string>{"fcgi_params_limit"});
  Params large = GetParams();
  large.emplace_back("A", std::string(1000, 'x'));
  Result result = Serve({request(large)}, limits);
  EXPECT_EQ(result.codes, std::vector<std::string>{"fcgi_params_limit"});
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1)
      << "the open request is ended before the close";
}

TEST(FastCgiParams, OfOneNameTheLastWinsAndProxyIsDropped) {
  std::string a, proxy = "unset";
  auto serve = [&](Request& request, Response&) {
    a = request.Variable("A").value_or("unset");
    if (request.Variable("HTTP_PROXY")) proxy = "set";
    int visits = 0;
    request.ForEachVariable([&](std::string_view name, std::string_view) {
      if (name == "HTTP_PROXY") proxy = "visited";
      if (name == "A") ++visits;
    });
    EXPECT_EQ(visits, 1);
  };
  Params params = GetParams();
  for (const char* value : {"1", "2"}) params.emplace_back("A", value);
  params.emplace_back("HTTP_PROXY", "evil:80");
  Serve({Begin(kId, true) + ParamRecords(kId, params) + StdinRecords(kId, "")}, {}, serve);
  EXPECT_EQ(a, "2");
  EXPECT_EQ(proxy, "unset");
}

TEST(FastCgiManagement, AnswersTheKnownValuesOnce) {
  std::string asked = ParamBytes({{"FCGI_MAX_REQS", ""},
                                  {"FCGI_UNKNOWN", ""},
                                  {"FCGI_MAX_REQS", "9"},
                                  {"FCGI_MPXS_CONNS", ""},
                                  {"FCGI_MAX_CONNS", ""}});
  for (size_t padding : {0, 3}) {
    Result result = Serve({Record(Type::kGetValues, 0, asked, static_cast<uint8_t>(padding))});
    ASSERT_EQ(result.answers.management.size(), 1U);
    EXPECT_EQ(result.answers.management[0].first, 10);
    EXPECT_EQ(
        result.answers.management[0].second,
        ParamBytes({{"FCGI_MAX_CONNS", "100"}, {"FCGI_MAX_REQS", "50"}, {"FCGI_MPXS_CONNS", "0"}}));
  }
}

TEST(FastCgiManagement, IsAnsweredInTheMiddleOfARequest) {
  Result result = Serve({OpenPost(3) + Record(Type::kGetValues, 0, "") +
                         Record(kVersion, 77, 0, "") + StdinRecords(kId, "abc")});
  ExpectBody(result, kId, "body 3");
  ASSERT_EQ(result.answers.management.size(), 2U);
  EXPECT_EQ(result.answers.management[0].second, "");
  EXPECT_EQ(result.answers.management[1].second, std::string("\x4d\0\0\0\0\0\0\0", 8));
}

TEST(FastCgiManagement, FloodsEndTheConnection) {
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += Record(kVersion, 99, 0, "");
  Result result = Serve({flood});
  EXPECT_EQ(result.codes, std::vector<std::string>{"fcgi_management_flood"});
  EXPECT_LE(result.answers.management.size(), 1000U);
}

TEST(FastCgiMultiplexing, ASecondRequestIsToldSoAndTheFirstGoesOn) {
  Result result = Serve({OpenPost(6) + Record(Type::kStdin, kId, "abc") + GetRequest(2, true) +
                         StdinRecords(kId, "def") + GetRequest(3, true)});
  ExpectBody(result, kId, "body 6");
  ExpectBody(result, 3, "body 0");
  EXPECT_EQ(result.answers.requests.at(2).out, "");
  EXPECT_EQ(result.answers.requests.at(2).ends, 1);
  EXPECT_EQ(result.answers.requests.at(2).protocol_status, 1);
}

TEST(FastCgiRoles, UnknownOnesAreToldSo) {
  Result result = Serve({OtherRole(0, true)});
  EXPECT_EQ(result.answers.requests.at(7).protocol_status, 3);
}

TEST(FastCgiRoles, AFilterReadsItsBodyThenItsData) {
  std::string body, data;
  auto serve = [&](Request& request, Response&) {
    int error = 0;
    body = ReadAll(request, error);
    char buffer[3];
    for (ssize_t got; (got = request.ReadData(buffer, sizeof buffer)) > 0;) {
      data.append(buffer, static_cast<size_t>(got));
    }
    EXPECT_EQ(request.Variable("FCGI_ROLE"), "FILTER");
  };
  std::string bytes = Begin(kId, true, Role::kFilter) + ParamRecords(kId, PostParams(3)) +
                      StdinRecords(kId, "abc") + Record(Type::kData, kId, "the ") +
                      Record(Type::kData, kId, "file") + Record(Type::kData, kId, "");
  Serve(ScriptedStream::Singles(bytes), {}, serve);
  EXPECT_EQ(body, "abc");
  EXPECT_EQ(data, "the file");
  body = data = "";
  auto only_data = [&](Request& request, Response&) {
    char buffer[100];
    ssize_t got = request.ReadData(buffer, sizeof buffer);
    data.assign(buffer, static_cast<size_t>(std::max<ssize_t>(got, 0)));
  };
  Serve({bytes}, {}, only_data);
  EXPECT_EQ(data, "the ");
}

TEST(FastCgiAbort, CancelsTheBodyAndKeepsTheConnection) {
  int error = 0;
  auto serve = [&](Request& request, Response&) { ReadAll(request, error); };
  std::string bytes = OpenPost(9) + Record(Type::kAbortRequest, kId, "") + GetRequest(3, true);
  Result result = Serve({bytes}, {}, [&](Request& request, Response& response) {
    if (request.method() == "POST") return serve(request, response);
    response.Write("second");
  });
  EXPECT_EQ(error, ECANCELED);
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1);
  ExpectBody(result, 3, "second");
}

TEST(FastCgiAnswer, OfASmallPageIsOneWrite) {
  Result result = Serve({GetRequest(kId, true)});
  EXPECT_EQ(result.writes, 1);
  EXPECT_NE(result.answers.requests.at(kId).out.find("Content-Length: 6\r\n"), std::string::npos);
}

TEST(FastCgiAnswer, OfAnyLengthIsSplitIntoLawfulRecords) {
  for (size_t size : {0UL, 1UL, 65527UL, 65528UL, 65529UL, 65535UL, 65536UL, 200000UL, 3000000UL}) {
    std::string body(size, 'x');
    auto serve = [&](Request&, Response& response) {
      response.SetHeader("Content-Type", "text/plain");
      response.Write(body.substr(0, size / 3));
      response.Write(body.substr(size / 3));
    };
    ExpectBody(Serve({GetRequest(kId, true)}, {}, serve), kId, body);
  }
}

TEST(FastCgiAnswer, ThatBreaksOffEndsTheConnectionWithoutEndRequest) {
  Result result =
      Serve({GetRequest(kId, true) + GetRequest(3, true)}, {}, [](Request&, Response& response) {
        response.Write("begin");
        response.Flush();
        throw std::runtime_error("broken");
      });
  EXPECT_EQ(result.handled, 1);
  EXPECT_EQ(result.answers.requests.at(kId).ends, 0);
}

TEST(FastCgiRequest, ReadsItsPathFromWhatTheWebServerSends) {
  struct {
    Params params;
    const char *path, *target, *query;
  } cases[] = {
      {{{"DOCUMENT_URI", "/d"},
        {"SCRIPT_NAME", "/s"},
        {"REQUEST_URI", "/r?q"},
        {"QUERY_STRING", "q"}},
       "/d",
       "/r?q",
       "q"},
      {{{"SCRIPT_NAME", "/s"}, {"PATH_INFO", "/p q"}, {"QUERY_STRING", "a=b"}},
       "/s/p q",
       "/s/p q?a=b",
       "a=b"},
      {{{"REQUEST_URI", "/%61/./b?x"}}, "/a/b", "/%61/./b?x", ""},
      {{{"SCRIPT_NAME", "/100%"}}, "/100%", "/100%", ""},
      {{}, "/", "/", ""},
  };
  for (auto& test : cases) {
    test.params.emplace_back("REQUEST_METHOD", "GET");
    auto serve = [&](Request& request, Response&) {
      EXPECT_EQ(request.path(), test.path);
      EXPECT_EQ(request.target(), test.target);
      EXPECT_EQ(request.query(), test.query);
    };
    EXPECT_EQ(Serve({Begin(kId, true) + ParamRecords(kId, test.params) + StdinRecords(kId, "")}, {},
                    serve)
                  .handled,
              1);
  }
}

// A stream that keeps its read deadline.
class TimedStream : public ScriptedStream {
 public:
  using ScriptedStream::ScriptedStream;
  ssize_t Read(void* buffer, size_t size) override {
    if (std::chrono::steady_clock::now() < deadline_) return ScriptedStream::Read(buffer, size);
    errno = ETIMEDOUT;
    return -1;
  }
  void SetReadDeadline(Deadline deadline) override { deadline_ = deadline; }

 private:
  Deadline deadline_ = Deadline::max();
};

// The padding of the last record of a request may come with the next one: its parameters are not
// due since the request before it began.
TEST(FastCgiConnection, ARequestThatFollowsHalfARecordHasItsOwnTime) {
  std::string first = GetRequest(1, true);
  first[first.size() - 2] = 8;  // the padding of the record that ends STDIN
  TimedStream stream({first, std::string(8, '\0') + GetRequest(1, false)});
  RecordingEvents events;
  Limits limits;
  limits.header_time = std::chrono::milliseconds(300);
  ConnectionInfo info;
  FunctionHandler handler([&](Request&, Response&) { usleep(400'000); });
  FastCgiConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.finished, 2);
  EXPECT_EQ(events.codes, std::vector<std::string>());
}

}  // namespace
}  // namespace cogi::cgi::fcgi
