// The FastCGI front end of a worker: the cases that every front end must keep, whole and split at
// every byte, and what only many requests at once can show.
#include "server/fastcgi_multiplexer.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "coroutine/scheduler.h"
#include "tests/cgi/fastcgi_cases.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"
#include "tests/server/slow_files.h"

namespace cogi::server {
namespace {

using namespace cgi;        // NOLINT: the tests of cgi/ are in there
using namespace cgi::fcgi;  // NOLINT

using Ids = std::vector<uint16_t>;

// A stream whose pieces come one a turn, so that the coroutines of requests run in between.
class TurningStream : public ScriptedStream {
 public:
  using ScriptedStream::ScriptedStream;
  ssize_t Read(void* buffer, size_t size) override {
    for (int turn = 0; turn < 3; ++turn) coroutine::Yield();
    return ScriptedStream::Read(buffer, size);
  }
};

class RecordingHost : public FastCgiMultiplexer::Host {
 public:
  // The events of one request, which are remembered with those of all.
  class OneRequest : public Events {
   public:
    explicit OneRequest(RecordingHost& host) : host_(host) { ++host_.places; }
    ~OneRequest() override { --host_.places; }
    void Started(Request& request) override { host_.events.Started(request); }
    void Finished(Request& request, const Response& response) override {
      host_.events.Finished(request, response);
    }
    void Refused(const Refusal& refusal, const Request* request) override {
      host_.events.Refused(refusal, request);
    }

   private:
    RecordingHost& host_;
  };

  std::unique_ptr<Events> StartRequest() override {
    return places < most ? std::make_unique<OneRequest>(*this) : nullptr;
  }
  coroutine::Coroutine* Spawn(std::function<void()> answer) override {
    return coroutine::Go(std::move(answer));
  }
  bool EndsAfterAnswer() override { return events.draining; }
  void RefusedConnection(const Refusal& refusal) override { events.Refused(refusal, nullptr); }
  bool PeerHasGone() override { return gone; }

  RecordingEvents events;
  int places = 0;
  int most = 1000;
  bool gone = false;
};

struct Result {
  Answers answers;
  std::vector<std::string> codes;
  std::vector<int> statuses;
  int handled = 0;
  int writes = 0;
  bool shut = false;
};

struct Options {
  Limits limits;
  Values values{.max_connections = 100, .max_requests = 50, .multiplexes = true};
  int most = 1000;
  int end_error = 0;
  bool gone = false;
};

Result ServeOn(coroutine::Scheduler& scheduler, std::vector<std::string> pieces,
               const FunctionHandler::Function& serve = nullptr, const Options& options = {}) {
  Result result;
  RecordingHost host;
  host.most = options.most;
  host.gone = options.gone;
  TurningStream stream(std::move(pieces), options.end_error);
  ConnectionInfo info;
  FunctionHandler handler([&](Request& request, Response& response) {
    ++result.handled;
    if (serve) return serve(request, response);
    int error = 0;
    const std::string body = ReadAll(request, error);
    response.SetHeader("Content-Type", "text/plain");
    response.Write(error == 0 ? "body " + std::to_string(body.size()) : "error");
  });
  {
    FastCgiMultiplexer multiplexer(stream, options.limits, info, options.values, host);
    scheduler.Spawn([&] { multiplexer.Serve(handler); });
    scheduler.Run();
    EXPECT_EQ(scheduler.live(), 0U);
  }
  EXPECT_EQ(host.places, 0) << "every request gave its place back";
  EXPECT_EQ(host.events.started, host.events.finished);
  result.answers = Parse(stream.written);
  EXPECT_EQ(result.answers.error, "");
  for (const auto& [id, answer] : result.answers.requests) EXPECT_LE(answer.ends, 1) << id;
  result.codes = host.events.codes;
  result.statuses = host.events.statuses;
  result.writes = stream.writes;
  result.shut = stream.shut;
  return result;
}

Result Serve(std::vector<std::string> pieces, const FunctionHandler::Function& serve = nullptr,
             const Options& options = {}) {
  coroutine::Scheduler scheduler;
  return ServeOn(scheduler, std::move(pieces), serve, options);
}

void ExpectBody(const Result& result, uint16_t id, const std::string& body) {
  ASSERT_TRUE(result.answers.requests.contains(id));
  const Answer& answer = result.answers.requests.at(id);
  EXPECT_TRUE(answer.out.starts_with("Status: 200 OK\r\n")) << answer.out;
  EXPECT_TRUE(answer.out.ends_with("\r\n\r\n" + body)) << answer.out;
  EXPECT_EQ(answer.ends, 1);
  EXPECT_EQ(answer.protocol_status, 0);
}

class MultiplexerCase : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(FastCgi, MultiplexerCase, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

// Of a connection that ends, what follows may still be in the same piece and begin.
void ExpectCase(const Case& test, const Result& result, bool whole) {
  const bool refused = *test.code != '\0';
  ASSERT_EQ(result.codes,
            refused ? std::vector<std::string>{test.code} : std::vector<std::string>{});
  const int handled = test.handled + (test.goes_on ? 1 : 0);
  if (std::string_view(test.name).starts_with("Abort")) {
    EXPECT_LE(result.handled, handled) << "it may come before the handler runs";
  } else if (!whole || test.goes_on) {
    EXPECT_EQ(result.handled, handled);
  }
  if (test.goes_on) ExpectBody(result, 3, "body 0");
}

TEST_P(MultiplexerCase, HasItsVerdictHoweverItIsSplit) {
  const std::string bytes = GetParam().bytes + GetRequest(3, true);
  coroutine::Scheduler scheduler;
  ExpectCase(GetParam(), ServeOn(scheduler, {GetParam().bytes, GetRequest(3, true)}), true);
  for (size_t at = 1; at < bytes.size(); ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    ExpectCase(GetParam(), ServeOn(scheduler, ScriptedStream::Split(bytes, at)), true);
    if (HasFailure()) return;
  }
  ExpectCase(GetParam(), ServeOn(scheduler, ScriptedStream::Singles(bytes)), false);
}

// Three requests whose records are mixed.
std::vector<std::string> Mixed() {
  std::vector<std::string> records;
  for (uint16_t id : Ids{1, 2, 3}) records.push_back(Begin(id, true));
  for (uint16_t id : Ids{3, 1, 2}) records.push_back(ParamRecords(id, PostParams(4)));
  for (const char* piece : {"ab", "cd"})
    for (uint16_t id : Ids{2, 3, 1}) records.push_back(Record(Type::kStdin, id, piece));
  for (uint16_t id : Ids{1, 3, 2}) records.push_back(Record(Type::kStdin, id, ""));
  return records;
}

TEST(FastCgiMultiplexing, RequestsWhoseRecordsAreMixedAreAllAnswered) {
  std::string bytes;
  for (const std::string& record : Mixed()) bytes += record;
  const auto serve = [](Request& request, Response& response) {
    int error = 0;
    EXPECT_EQ(ReadAll(request, error), "abcd");
    response.Write("mixed");
  };
  std::vector<std::vector<std::string>> ways{{bytes}, Mixed(), ScriptedStream::Singles(bytes)};
  for (size_t at = 1; at < bytes.size(); ++at) ways.push_back(ScriptedStream::Split(bytes, at));
  for (const auto& way : ways) {
    const Result result = Serve(way, serve);
    ASSERT_EQ(result.handled, 3);
    for (uint16_t id : Ids{1, 2, 3}) ExpectBody(result, id, "mixed");
    if (HasFailure()) return;
  }
}

TEST(FastCgiMultiplexing, ASlowHandlerDoesNotHoldUpTheOthers) {
  std::vector<std::string> order;
  const auto serve = [&](Request& request, Response& response) {
    if (request.path() == "/slow") {
      while (order.size() < 5) coroutine::Yield();
    }
    order.emplace_back(request.path());
    response.Write("x");
  };
  const auto get = [](uint16_t id, const std::string& uri) {
    return Begin(id, true) + ParamRecords(id, GetParams(uri)) + StdinRecords(id, "");
  };
  std::vector<std::string> pieces{get(1, "/slow")};
  for (uint16_t id = 2; id <= 6; ++id) pieces.push_back(get(id, "/fast"));
  Serve(std::move(pieces), serve);
  ASSERT_EQ(order.size(), 6U);
  EXPECT_EQ(order.back(), "/slow");
}

TEST(FastCgiMultiplexing, ABodyThatIsNotReadDoesNotHoldUpTheOthers) {
  Options options;
  options.limits.body_memory = 4096;
  std::string other;
  const std::string body(300'000, 'b');
  const auto serve = [&](Request& request, Response& response) {
    if (request.method() == "GET") {
      other = "answered";
      return;
    }
    while (other.empty()) coroutine::Yield();
    int error = 0;
    EXPECT_EQ(ReadAll(request, error), body);
    EXPECT_EQ(error, 0);
    response.Write("read");
  };
  const Result result =
      Serve({Begin(1, true) + ParamRecords(1, PostParams(body.size())) + Begin(2, true),
             StdinRecords(1, body), ParamRecords(2, GetParams()) + StdinRecords(2, "")},
            serve, options);
  ExpectBody(result, 1, "read");
}

// A request that is answered in the middle of one of its records: what is left of that is nobody's.
TEST(FastCgiMultiplexing, TheRestOfARecordWhoseRequestIsOverGoesToNoOther) {
  std::string body;
  const auto serve = [&](Request& request, Response& response) {
    response.Write("answered");
    char byte;
    if (request.content_length() == 8) {
      EXPECT_EQ(request.ReadBody(&byte, 1), 1) << "and no more of it";
      return;
    }
    int error = 0;
    body = ReadAll(request, error);
  };
  const std::string first = Record(Type::kStdin, 1, "firstone");
  const std::string second = StdinRecords(2, "2222") + Record(Type::kStdin, 1, "");
  for (uint16_t early : Ids{1, 2}) {  // the order of the two
    std::string begun;
    for (uint16_t id : Ids{early, static_cast<uint16_t>(3 - early)})
      begun += Begin(id, true) + ParamRecords(id, PostParams(id == 1 ? 8 : 4));
    for (size_t at = 9; at < first.size(); ++at) {
      body = "";
      const Result result = Serve({begun, first.substr(0, at), first.substr(at) + second}, serve);
      ASSERT_EQ(body, "2222") << at;
      for (uint16_t id : Ids{1, 2}) ExpectBody(result, id, "answered");
    }
  }
}

TEST(FastCgiMultiplexing, TheBodyOfASingleRequestIsReadNoFasterThanItIsTaken) {
  class Counting : public TurningStream {
   public:
    using TurningStream::TurningStream;
    ssize_t Read(void* buffer, size_t size) override {
      const ssize_t got = TurningStream::Read(buffer, size);
      bytes += got > 0 ? static_cast<size_t>(got) : 0;
      return got;
    }
    size_t bytes = 0;
  };
  const std::string body(2'000'000, 'b');
  Counting stream(
      {Begin(1, true) + ParamRecords(1, PostParams(body.size())), StdinRecords(1, body)});
  RecordingHost host;
  ConnectionInfo info;
  Limits limits;
  size_t ahead = 0;
  FunctionHandler handler([&](Request& request, Response&) {
    for (int turn = 0; turn < 1000; ++turn) coroutine::Yield();
    ahead = stream.bytes;
    int error = 0;
    EXPECT_EQ(ReadAll(request, error).size(), body.size());
  });
  coroutine::Scheduler scheduler;
  FastCgiMultiplexer multiplexer(stream, limits, info, {100, 50, true}, host);
  scheduler.Spawn([&] { multiplexer.Serve(handler); });
  scheduler.Run();
  EXPECT_GT(ahead, 0U);
  EXPECT_LE(ahead, limits.body_memory + 32 * 1024);
}

TEST(FastCgiMultiplexing, AnAbortCancelsItsRequestAndNoOther) {
  std::vector<std::string> ended;
  const auto serve = [&](Request& request, Response& response) {
    const std::string path(request.path());
    const auto reason = coroutine::SleepFor(std::chrono::milliseconds(50));
    ended.push_back(path + (reason == coroutine::WakeReason::kCancelled ? " cancelled" : " slept"));
    response.Write(path);
  };
  const auto get = [](uint16_t id, const std::string& uri) {
    return Begin(id, true) + ParamRecords(id, GetParams(uri)) + StdinRecords(id, "");
  };
  const Result result =
      Serve({get(1, "/a"), get(2, "/b"), Record(Type::kAbortRequest, 1, ""), get(3, "/c")}, serve);
  EXPECT_EQ(ended, (std::vector<std::string>{"/a cancelled", "/b slept", "/c slept"}));
  EXPECT_EQ(result.answers.requests.at(1).out, "");
  EXPECT_EQ(result.answers.requests.at(1).ends, 1);
  EXPECT_EQ(result.answers.requests.at(1).protocol_status, 0);
  EXPECT_EQ(result.statuses, (std::vector<int>{499, 200, 200}));
  ExpectBody(result, 2, "/b");
  ExpectBody(result, 3, "/c");
}

TEST(FastCgiMultiplexing, AnAbortMayComeAtAnyPointOfARequest) {
  const std::string request = PostRequest(1, true, "abcdef");
  for (size_t at = Begin(1, true).size(); at <= request.size(); ++at) {
    // Between two records, that is: within one it would be content.
    size_t record = 0;
    while (record < at) {
      record += 8 +
                static_cast<size_t>(static_cast<uint8_t>(request[record + 4]) << 8 |
                                    static_cast<uint8_t>(request[record + 5])) +
                static_cast<uint8_t>(request[record + 6]);
    }
    if (record != at) continue;
    SCOPED_TRACE(at);
    const Result result = Serve({request.substr(0, at), Record(Type::kAbortRequest, 1, ""),
                                 request.substr(at), GetRequest(3, true)});
    ASSERT_TRUE(result.answers.requests.contains(1));
    EXPECT_EQ(result.answers.requests.at(1).ends, 1);
    ExpectBody(result, 3, "body 0");
  }
}

TEST(FastCgiMultiplexing, ParametersBehindAnAbortBeginNoSecondAnswer) {
  const std::string bytes = Begin(1, true) + Record(Type::kAbortRequest, 1, "") +
                            ParamRecords(1, GetParams()) + StdinRecords(1, "");
  const Result result = Serve({bytes, GetRequest(3, true)});
  EXPECT_EQ(result.answers.requests.at(1).ends, 1);
  ExpectBody(result, 3, "body 0");
}

TEST(FastCgiMultiplexing, BeyondItsLimitAConnectionsRequestsAreOverloaded) {
  Options options;
  options.values.max_requests = 2;
  std::string bytes;
  for (uint16_t id : Ids{1, 2, 3}) bytes += Begin(id, true);
  for (uint16_t id : Ids{1, 2, 3}) bytes += ParamRecords(id, GetParams()) + StdinRecords(id, "");
  const Result result = Serve({bytes, GetRequest(4, true)}, nullptr, options);
  for (uint16_t id : Ids{1, 2, 4}) ExpectBody(result, id, "body 0");
  EXPECT_EQ(result.answers.requests.at(3).out, "");
  EXPECT_EQ(result.answers.requests.at(3).protocol_status, 2);
}

TEST(FastCgiMultiplexing, BeyondTheLimitOfTheWorkerTheClientSees503) {
  Options options;
  options.most = 1;
  const Result result = Serve(
      {Begin(1, true) + GetRequest(2, true) + ParamRecords(1, GetParams()) + StdinRecords(1, ""),
       GetRequest(3, true)},
      nullptr, options);
  ExpectBody(result, 1, "body 0");
  ExpectBody(result, 3, "body 0");
  EXPECT_TRUE(result.answers.requests.at(2).out.starts_with("Status: 503 "));
  EXPECT_EQ(result.answers.requests.at(2).protocol_status, 2);
}

TEST(FastCgiMultiplexing, WithoutItASecondRequestIsToldSo) {
  Options options;
  options.values = {100, 1, false};
  const Result result = Serve(
      {Begin(1, true) + GetRequest(2, true) + ParamRecords(1, GetParams()) + StdinRecords(1, "")},
      nullptr, options);
  ExpectBody(result, 1, "body 0");
  EXPECT_EQ(result.answers.requests.at(2).protocol_status, 1);
}

TEST(FastCgiMultiplexing, IsWhatGetValuesSays) {
  const Result result = Serve({Record(
      Type::kGetValues, 0,
      ParamBytes({{"FCGI_MPXS_CONNS", ""}, {"FCGI_MAX_REQS", ""}, {"FCGI_MAX_CONNS", ""}}))});
  ASSERT_EQ(result.answers.management.size(), 1U);
  EXPECT_EQ(
      result.answers.management[0].second,
      ParamBytes({{"FCGI_MAX_CONNS", "100"}, {"FCGI_MAX_REQS", "50"}, {"FCGI_MPXS_CONNS", "1"}}));
}

TEST(FastCgiMultiplexing, ABadRecordEndsTheConnectionAfterTheAnswersThatAreUnderWay) {
  const auto serve = [](Request&, Response& response) {
    for (int turn = 0; turn < 50; ++turn) coroutine::Yield();
    response.Write("whole");
  };
  const Result result = Serve(
      {GetRequest(1, true), Begin(2, true), Record(9, 1, 0, "x"), GetRequest(3, true)}, serve);
  EXPECT_EQ(result.codes, std::vector<std::string>{"fcgi_bad_version"});
  ExpectBody(result, 1, "whole");
  EXPECT_EQ(result.answers.requests.at(2).ends, 1) << "the open request is ended before the close";
  EXPECT_FALSE(result.answers.requests.contains(3));
}

TEST(FastCgiMultiplexing, AnAnswerThatBreaksOffLetsTheOthersEnd) {
  const auto serve = [](Request& request, Response& response) {
    response.SetHeader("Content-Length", "4");
    response.Write(request.path() == "/short" ? "x" : "full");
    response.Flush();
    for (int turn = 0; request.path() == "/long" && turn < 50; ++turn) coroutine::Yield();
  };
  const auto get = [](uint16_t id, const std::string& uri) {
    return Begin(id, true) + ParamRecords(id, GetParams(uri)) + StdinRecords(id, "");
  };
  const Result result = Serve({get(1, "/long"), get(2, "/short"), get(3, "/late")}, serve);
  ExpectBody(result, 1, "full");
  EXPECT_EQ(result.answers.requests.at(2).ends, 0) << "a cut answer must not look complete";
}

TEST(FastCgiMultiplexing, WithoutKeepConnectionItEndsAfterAllAnswers) {
  const Result result = Serve({GetRequest(1, true) + GetRequest(2, false), GetRequest(3, true)});
  ExpectBody(result, 1, "body 0");
  ExpectBody(result, 2, "body 0");
}

TEST(FastCgiMultiplexing, APeerThatHasGoneCancelsEverythingThatIsUnderWay) {
  Options options;
  options.gone = true;
  int cancelled = 0;
  const auto serve = [&](Request&, Response&) {
    if (coroutine::SleepFor(std::chrono::seconds(10)) == coroutine::WakeReason::kCancelled)
      ++cancelled;
  };
  Serve({GetRequest(1, true) + GetRequest(2, true) + GetRequest(3, true)}, serve, options);
  EXPECT_EQ(cancelled, 3);
}

TEST(FastCgiMultiplexing, ASmallPageIsOneWrite) {
  EXPECT_EQ(Serve({GetRequest(1, true)}).writes, 1);
}

TEST(FastCgiMultiplexing, AFilterReadsItsBodyThenItsData) {
  std::string body, data;
  const auto serve = [&](Request& request, Response&) {
    int error = 0;
    body = ReadAll(request, error);
    char buffer[3];
    for (ssize_t got; (got = request.ReadData(buffer, sizeof buffer)) > 0;)
      data.append(buffer, static_cast<size_t>(got));
  };
  const std::string bytes = Begin(1, true, Role::kFilter) + ParamRecords(1, PostParams(3)) +
                            StdinRecords(1, "abc") + Record(Type::kData, 1, "the ") +
                            Record(Type::kData, 1, "file") + Record(Type::kData, 1, "");
  for (size_t at = 1; at < bytes.size(); ++at) {
    body = data = "";
    Serve(ScriptedStream::Split(bytes, at), serve);
    ASSERT_EQ(body, "abc") << at;
    ASSERT_EQ(data, "the file") << at;
  }
}

// The handler gets no body with a hole in it, nor one that ends too early.
TEST(FastCgiMultiplexing, ABodyThatCannotBeKeptIs507) {
  Options options;
  options.limits.body_memory = 100;
  options.limits.spool_folder = "/no/such/folder";
  int error = 0;
  std::string body;
  const auto serve = [&](Request& request, Response&) {
    coroutine::SleepFor(std::chrono::milliseconds(20));
    body = ReadAll(request, error);
  };
  const Result result =
      Serve({Begin(1, true, Role::kResponder) + ParamRecords(1, GetParams()) +
             Record(Type::kStdin, 1, std::string(60, 'x')) +
             Record(Type::kStdin, 1, std::string(70, 'y')) + StdinRecords(1, "zzzzz")},
            serve, options);
  EXPECT_EQ(error, EPROTO);
  EXPECT_EQ(body.find('z'), body.npos);
  EXPECT_TRUE(result.answers.requests.at(1).out.starts_with("Status: 507 "));
}

// The rest of its body is just being written when the request ends.
TEST(FastCgiMultiplexing, ARequestMayEndWhileItsBodyWaitsForTheDisk) {
  const SlowFiles slow(20'000);
  Options options;
  options.limits.body_memory = 100;
  const auto serve = [&](Request& request, Response& response) {
    const bool early = request.Variable("REQUEST_METHOD").value_or("") == "POST";
    coroutine::SleepFor(std::chrono::milliseconds(early ? 5 : 100));
    response.Write(early ? "early" : "late");
  };
  const std::string post = Begin(1, true) + ParamRecords(1, PostParams(5000));
  const std::string body = StdinRecords(1, std::string(5000, 'x'));
  const Result result = Serve({GetRequest(2, true), post, body}, serve, options);
  EXPECT_TRUE(result.answers.requests.at(1).out.ends_with("early"));
  EXPECT_TRUE(result.answers.requests.at(2).out.ends_with("late"));
}

// While other requests are open nothing holds its web server back.
TEST(FastCgiMultiplexing, DataThatAFilterDoesNotTakeIsKeptUpToTheLimit) {
  Options options;
  options.limits.body = 1000;
  options.limits.body_memory = 100;
  int error = 0;
  size_t read = 0;
  const auto serve = [&](Request& request, Response&) {
    if (request.Variable("FCGI_ROLE") != "FILTER")
      return static_cast<void>(ReadAll(request, error));
    coroutine::SleepFor(std::chrono::milliseconds(50));
    char buffer[700];
    ssize_t got;
    while ((got = request.ReadData(buffer, sizeof buffer)) > 0) read += static_cast<size_t>(got);
    error = got < 0 ? errno : 0;
  };
  std::string bytes = Begin(1, true, Role::kResponder) + ParamRecords(1, PostParams(3)) +
                      Begin(2, true, Role::kFilter) + ParamRecords(2, PostParams(0)) +
                      StdinRecords(2, "");
  for (int count = 0; count < 10; ++count) bytes += Record(Type::kData, 2, std::string(300, 'x'));
  const Result result =
      Serve({bytes + Record(Type::kData, 2, "") + StdinRecords(1, "abc")}, serve, options);
  EXPECT_EQ(error, EMSGSIZE);
  EXPECT_LE(read, 1000U);
  EXPECT_TRUE(result.answers.requests.at(2).out.starts_with("Status: 413 "));
  EXPECT_TRUE(result.answers.requests.at(1).out.starts_with("Status: 200 "));
}

}  // namespace
}  // namespace cogi::server
