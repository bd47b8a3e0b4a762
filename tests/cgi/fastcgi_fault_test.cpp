// The FastCGI front end when something breaks: peers that end or stop anywhere, bodies that cannot
// be read, floods, files, variables of the connection.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "cgi/fastcgi_connection.h"
#include "cgi/field_list.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi::fcgi {
namespace {

constexpr uint16_t kId = 1;

struct Result {
  Answers answers;
  RecordingEvents events;
  int handled = 0;
  int error = 0;  // of the body
  bool shut = false;
};

Result Serve(const std::string& bytes, int end_error = 0, const Limits& limits = {},
             FunctionHandler::Function serve = nullptr) {
  ScriptedStream stream({bytes}, end_error);
  ConnectionInfo info;
  Result result;
  FunctionHandler handler([&](Request& request, Response& response) {
    ++result.handled;
    if (serve) return serve(request, response);
    response.Write("body " + ReadAll(request, result.error));
  });
  FastCgiConnection(stream, limits, info, result.events).Serve(handler);
  EXPECT_EQ(result.events.started, result.events.finished);
  result.answers = Parse(stream.written);
  EXPECT_EQ(result.answers.error, "");
  result.shut = stream.shut;
  return result;
}

std::string OpenPost(size_t length, bool keep = true) {
  return Begin(kId, keep) + ParamRecords(kId, PostParams(length));
}

TEST(FastCgiFault, AnEndAnywhereInARequestRunsNoHandlerOnHalfOfIt) {
  std::string bytes = Begin(kId, true) + Record(Type::kParams, kId, ParamBytes(GetParams()), 5) +
                      Record(Type::kParams, kId, "", 3);
  size_t complete = bytes.size() - 3;  // the padding need not come
  for (size_t size = 1; size < complete; ++size) {
    SCOPED_TRACE(size);
    Result result = Serve(bytes.substr(0, size));
    EXPECT_EQ(result.handled, 0);
    EXPECT_EQ(result.events.codes, std::vector<std::string>{"fcgi_truncated"});
    EXPECT_TRUE(result.answers.requests.empty());
  }
  EXPECT_EQ(Serve(bytes.substr(0, complete)).handled, 1);
}

TEST(FastCgiFault, ABodyThatBreaksOffIsNeverTakenForComplete) {
  std::string bytes = OpenPost(10) + Record(Type::kStdin, kId, "abc", 5);
  for (size_t size = OpenPost(10).size(); size <= bytes.size(); ++size) {
    Result result = Serve(bytes.substr(0, size));
    EXPECT_EQ(result.error, EPROTO);
    EXPECT_EQ(result.events.codes, std::vector<std::string>{"truncated_body"});
    EXPECT_TRUE(result.answers.requests.empty()) << "nobody is there to answer";
  }
}

TEST(FastCgiFault, ABodyOfUnknownLengthThatBreaksOffIsNoEndEither) {
  std::string bytes = Begin(kId, true) + ParamRecords(kId, GetParams());
  EXPECT_EQ(Serve(bytes).error, EPROTO);
  EXPECT_EQ(Serve(bytes + StdinRecords(kId, "")).error, 0);
}

TEST(FastCgiFault, ABodyThatStopsIsAnswered408) {
  Result result = Serve(OpenPost(10), ETIMEDOUT);
  EXPECT_EQ(result.error, ETIMEDOUT);
  EXPECT_TRUE(result.answers.requests.at(kId).out.starts_with("Status: 408 "));
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1);
  EXPECT_EQ(result.events.codes, std::vector<std::string>{"body_timeout"});
}

TEST(FastCgiFault, ACancelledBodyLeavesTheConnectionForTheAnswer) {
  Result result = Serve(OpenPost(10), ECANCELED, {}, [](Request& request, Response& response) {
    int error = 0;
    ReadAll(request, error);
    EXPECT_EQ(error, ECANCELED);
    EXPECT_EQ(request.ReadBody(&error, 1), -1) << "it stays so";
    EXPECT_EQ(errno, ECANCELED);
    response.SetStatus(504);
  });
  EXPECT_TRUE(result.answers.requests.at(kId).out.starts_with("Status: 504 "));
}

TEST(FastCgiFault, ARouteMayNarrowTheBodyLimit) {
  for (bool announced : {true, false}) {
    Params params = PostParams(5);
    if (!announced) params.pop_back();
    Result result = Serve(Begin(kId, true) + ParamRecords(kId, params) + StdinRecords(kId, "hello"),
                          0, {}, [](Request& request, Response& response) {
                            request.set_terms({.body = 4});
                            int error = 0;
                            ReadAll(request, error);
                            EXPECT_EQ(error, EMSGSIZE);
                            response.Write("kept back, so replaced");
                          });
    EXPECT_TRUE(result.answers.requests.at(kId).out.starts_with("Status: 413 "));
    EXPECT_EQ(result.events.codes, std::vector<std::string>{"body_too_large"});
  }
}

TEST(FastCgiFault, AnAbortBeforeTheHandlerRunsEndsTheRequest) {
  std::string bytes = Begin(kId, true) + Record(Type::kParams, kId, ParamBytes(GetParams())) +
                      Record(Type::kAbortRequest, kId, "") + GetRequest(3, true);
  Result result = Serve(bytes);
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1);
  EXPECT_EQ(result.handled, 1) << "only the second request";
  EXPECT_EQ(result.events.statuses, (std::vector<int>{499, 200}));
}

TEST(FastCgiFault, AbortFloodsAreOnlyRecordsThatAreIgnored) {
  std::string flood;
  for (int i = 0; i < 5000; ++i) flood += Record(Type::kAbortRequest, 9, "");
  EXPECT_EQ(Serve(flood + GetRequest(3, true)).handled, 1);
}

TEST(FastCgiFault, RecordsOfNoRequestAreBounded) {
  Limits limits;
  limits.body = 1000;
  limits.linger_bytes = 1000;
  // In one piece with an open request, so that the connection never rests in between.
  std::string bytes = Begin(kId, true);
  for (int i = 0; i < 100; ++i) bytes += Record(Type::kStdin, 9, "0123456789012345678901234567890");
  Result result = Serve(bytes, 0, limits);
  EXPECT_EQ(result.events.codes, std::vector<std::string>{"fcgi_unknown_request"});
  EXPECT_EQ(result.handled, 0);
}

TEST(FastCgiFault, MoreOfAStreamThatHasEndedEndsTheConnection) {
  const std::string filter =
      Begin(kId, true, Role::kFilter) + ParamRecords(kId, PostParams(3)) + StdinRecords(kId, "abc");
  const std::string more = Record(Type::kStdin, kId, "x");
  for (const std::string& bytes : {filter + more, filter + Record(Type::kData, kId, "x") + more}) {
    Result result = Serve(bytes + GetRequest(3, true), 0, {}, [](Request& request, Response&) {
      char buffer[10];
      while (request.ReadData(buffer, sizeof buffer) > 0) {
      }
    });
    EXPECT_EQ(result.events.codes, std::vector<std::string>{"fcgi_bad_record"});
    EXPECT_EQ(result.handled, 1) << "nothing behind it is read";
    EXPECT_TRUE(result.answers.requests.at(kId).out.starts_with("Status: 400 "));
  }
}

TEST(FastCgiFault, AnUnreadBodyDoesNotDisturbTheNextRequest) {
  std::string body(100'000, 'x');
  Result result = Serve(PostRequest(kId, true, body) + GetRequest(3, true), 0, {},
                        [](Request&, Response& response) { response.Write("hello"); });
  EXPECT_EQ(result.handled, 2);
  EXPECT_TRUE(result.answers.requests.at(3).out.ends_with("hello"));
}

TEST(FastCgiFault, AnUnreadBodyIsDroppedBeforeTheConnectionCloses) {
  Result result = Serve(OpenPost(10, false) + Record(Type::kStdin, kId, "abc"), 0, {},
                        [](Request&, Response& response) { response.Write("hello"); });
  EXPECT_TRUE(result.shut);
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1);
}

TEST(FastCgiFault, FilesAreSentInRecords) {
  FILE* file = tmpfile();
  std::string content(200'000, 'f');
  ASSERT_EQ(fwrite(content.data(), 1, content.size(), file), content.size());
  fflush(file);
  Result result = Serve(GetRequest(kId, true), 0, {}, [&](Request&, Response& response) {
    response.SetHeader("Content-Length", "200004");
    response.Write("head");
    EXPECT_TRUE(response.SendFile(fileno(file), 0, content.size()));
  });
  EXPECT_TRUE(result.answers.requests.at(kId).out.ends_with("\r\n\r\nhead" + content));
  EXPECT_EQ(result.answers.requests.at(kId).ends, 1);
  Result shrunk = Serve(GetRequest(kId, true), 0, {}, [&](Request&, Response& response) {
    EXPECT_FALSE(response.SendFile(fileno(file), 199'000, 2000));
    EXPECT_EQ(errno, EIO);
  });
  EXPECT_EQ(shrunk.answers.requests.at(kId).ends, 0) << "an answer that is cut is not ended";
  fclose(file);
}

TEST(FastCgiFault, TheConnectionsVariablesAreEveryRequests) {
  FieldList variables;
  variables.Add("SSL_PROTOCOL", "TLSv1.3");
  ConnectionInfo info;
  info.variables = &variables;
  ScriptedStream stream({GetRequest(kId, true) + GetRequest(3, true)});
  RecordingEvents events;
  Limits limits;
  int seen = 0;
  FunctionHandler handler([&](Request& request, Response&) {
    EXPECT_EQ(request.Variable("SSL_PROTOCOL"), "TLSv1.3");
    EXPECT_EQ(request.Variable("MINE"), std::nullopt);
    request.SetVariable("MINE", "x");
    request.UnsetVariable("REQUEST_METHOD");
    EXPECT_EQ(request.Variable("REQUEST_METHOD"), std::nullopt);
    ++seen;
  });
  FastCgiConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(seen, 2);
}

TEST(FastCgiFault, ADrainEndsTheConnectionAfterTheAnswer) {
  ScriptedStream stream({GetRequest(kId, true) + GetRequest(3, true)});
  RecordingEvents events;
  Limits limits;
  ConnectionInfo info;
  FunctionHandler handler([&](Request&, Response&) { events.draining = true; });
  FastCgiConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.finished, 1);
  EXPECT_EQ(Parse(stream.written).requests.at(kId).ends, 1);
}

}  // namespace
}  // namespace cogi::cgi::fcgi
