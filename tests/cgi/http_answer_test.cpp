// What the HTTP front end makes of requests and answers: framing, persistence, meta-variables,
// faults of handlers. The peer is scripted.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

#include "cgi/field_list.h"
#include "cgi/http_connection.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi {
namespace {

struct Result {
  std::string written;
  RecordingEvents events;
  int handled = 0;
  int writes = 0;
  int rests = 0;
};

Result Serve(std::vector<std::string> pieces, FunctionHandler::Function serve,
             const Limits& limits = {}, const ConnectionInfo* given = nullptr,
             bool draining = false) {
  ScriptedStream stream(std::move(pieces));
  ConnectionInfo info{"192.0.2.7", "192.0.2.1", 4321, 8080};
  info.server_software = "";
  Result result;
  result.events.draining = draining;
  FunctionHandler handler([&](Request& request, Response& response) {
    ++result.handled;
    serve(request, response);
  });
  HttpConnection(stream, limits, given == nullptr ? info : *given, result.events).Serve(handler);
  result.written = stream.written;
  result.writes = stream.writes;
  result.rests = stream.rests;
  return result;
}

void Hello(Request&, Response& response) {
  response.SetHeader("Date", "now");
  response.Write("hello");
}

std::string Get(const std::string& fields = "", const char* version = "1.1",
                const char* method = "GET") {
  return std::string(method) + " / HTTP/" + version + "\r\nHost: a\r\n" + fields + "\r\n";
}

constexpr const char* kHello = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello";
constexpr const char* kHelloClose =
    "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
constexpr const char* kHelloKeep10 =
    "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello";

TEST(HttpAnswer, OfASmallPageIsOneWrite) {
  Result result = Serve({Get()}, Hello);
  EXPECT_EQ(result.written, kHello);
  EXPECT_EQ(result.writes, 1);
}

TEST(HttpAnswer, OfALargePageIsStillOneWrite) {
  std::string page(12000, 'x');
  Result result = Serve({Get()}, [&](Request&, Response& response) { response.Write(page); });
  EXPECT_TRUE(result.written.ends_with(page));
  EXPECT_EQ(result.writes, 1);
}

TEST(HttpAnswer, HasDateAndServer) {
  ConnectionInfo info;
  Result result = Serve(
      {Get()}, [](Request&, Response&) {}, {}, &info);
  EXPECT_NE(result.written.find("\r\nServer: cogi\r\n"), std::string::npos);
  EXPECT_NE(result.written.find("\r\nDate: "), std::string::npos);
}

TEST(HttpAnswer, StreamsInChunks) {
  Result result = Serve({Get() + Get()}, [](Request&, Response& response) {
    response.SetHeader("Date", "now");
    response.Flush();
    response.Write("hello ");
    response.Flush();
    response.Write(std::string(20000, 'x'));
    response.Write("end");
  });
  std::string one =
      "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n4e20\r\n" +
      std::string(20000, 'x') + "\r\n3\r\nend\r\n0\r\n\r\n";
  EXPECT_EQ(result.written, one + one);
}

TEST(HttpAnswer, OfAnEventStreamTellsNginxNotToKeepItBack) {
  auto serve = [](Request& request, Response& response) {
    response.SetHeader("Date", "now");
    response.SetHeader("Content-Type", "Text/Event-Stream; charset=utf-8");
    if (!request.query().empty()) response.SetHeader("X-Accel-Buffering", "yes");
    response.Write("data: 1");
  };
  EXPECT_NE(Serve({Get()}, serve).written.find("\r\nX-Accel-Buffering: no\r\n"), std::string::npos);
  Result own = Serve({"GET /?own HTTP/1.1\r\nHost: a\r\n\r\n"}, serve);
  EXPECT_NE(own.written.find("X-Accel-Buffering: yes\r\n"), std::string::npos);
  EXPECT_EQ(own.written.find("X-Accel-Buffering: no\r\n"), std::string::npos);
}

TEST(HttpAnswer, StreamsToHttp10UntilTheConnectionEnds) {
  Result result =
      Serve({Get("Connection: keep-alive\r\n", "1.0") + Get()}, [](Request&, Response& response) {
        response.SetHeader("Date", "now");
        response.Flush();
        response.Write("hello");
      });
  EXPECT_EQ(result.written, "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\nhello");
  EXPECT_EQ(result.handled, 1);
}

TEST(HttpAnswer, ToHeadHasTheLengthAndNoBody) {
  for (bool flush : {false, true}) {
    Result result =
        Serve({Get("", "1.1", "HEAD") + Get()}, [&](Request& request, Response& response) {
          response.SetHeader("Date", "now");
          if (flush && request.method() == "HEAD") response.SetHeader("Content-Length", "5");
          response.Write("hello");
          if (flush) response.Flush();
        });
    EXPECT_TRUE(result.written.starts_with(
        "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n"))
        << result.written;
  }
}

TEST(HttpAnswer, WithoutContentHasNoBody) {
  for (int status : {204, 304}) {
    Result result = Serve({Get()}, [&](Request&, Response& response) {
      response.SetHeader("Date", "now");
      response.SetStatus(status);
      response.Write("x");
    });
    EXPECT_TRUE(result.written.ends_with("\r\n\r\n"));
    EXPECT_EQ(result.written.find("Transfer-Encoding"), std::string::npos);
  }
}

TEST(HttpAnswer, SendsFilesWithHeadAndLength) {
  FILE* file = tmpfile();
  ASSERT_NE(file, nullptr);
  fputs("0123456789", file);
  fflush(file);
  auto serve = [&](bool length) {
    return Serve({Get()}, [&](Request&, Response& response) {
      response.SetHeader("Date", "now");
      if (length) response.SetHeader("Content-Length", "4");
      response.SendFile(fileno(file), 3, 4);
    });
  };
  EXPECT_EQ(serve(true).written, "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 4\r\n\r\n3456");
  EXPECT_EQ(serve(false).written,
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n3456\r\n"
            "0\r\n\r\n");
  fclose(file);
}

TEST(HttpAnswer, LongerThanItsLengthIsCutAndToldOf) {
  Result result = Serve({Get() + Get()}, [](Request&, Response& response) {
    response.SetHeader("Date", "now");
    response.SetHeader("Content-Length", "5");
    response.Write("hello world");
  });
  EXPECT_EQ(result.written, std::string(kHello) + kHello);
  EXPECT_EQ(result.events.codes, std::vector<std::string>(2, "answer_too_long"));
}

TEST(HttpAnswer, ShorterThanItsLengthEndsTheConnection) {
  Result result = Serve({Get() + Get()}, [](Request&, Response& response) {
    response.SetHeader("Content-Length", "50");
    response.Write("hello");
  });
  EXPECT_EQ(result.handled, 1);
  EXPECT_TRUE(result.written.ends_with("hello"));
  EXPECT_EQ(result.events.codes, std::vector<std::string>{"answer_too_short"});
}

TEST(HttpAnswer, OfAHandlerThatThrowsIs500) {
  Result result = Serve({Get() + Get()}, [](Request&, Response& response) {
    response.SetHeader("X-Secret", "yes");
    response.Write("half a page");
    throw std::runtime_error("the reason");
  });
  EXPECT_EQ(result.events.threw, std::vector<std::string>(2, "the reason"));
  EXPECT_EQ(result.events.statuses, (std::vector<int>{500, 500}));
  EXPECT_EQ(result.written.find("half"), std::string::npos);
  EXPECT_EQ(result.written.find("Secret"), std::string::npos);
  EXPECT_EQ(result.written.find("the reason"), std::string::npos);
}

TEST(HttpAnswer, OfAHandlerThatThrowsAfterTheHeadIsCut) {
  Result result = Serve({Get() + Get()}, [](Request&, Response& response) {
    response.Write("half");
    response.Flush();
    throw 42;
  });
  EXPECT_EQ(result.handled, 1);
  EXPECT_TRUE(result.written.ends_with("half\r\n")) << "a chunk, and no last chunk";
  EXPECT_EQ(result.events.threw.size(), 1U);
}

TEST(HttpPersistence, FollowsVersionAndConnection) {
  struct {
    std::string first;
    int handled;
    const char* answer;
  } cases[] = {
      {Get(), 2, kHello},
      {Get("Connection: close\r\n"), 1, kHelloClose},
      {Get("Connection: Foo, CLOSE\r\n"), 1, kHelloClose},
      {Get("Connection: keep-alive, close\r\n"), 1, kHelloClose},
      {Get("", "1.0"), 1, kHelloClose},
      {Get("Connection: Keep-Alive\r\n", "1.0"), 2, kHelloKeep10},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.first);
    Result result = Serve({test.first, Get()}, Hello);
    EXPECT_EQ(result.handled, test.handled);
    EXPECT_TRUE(result.written.starts_with(test.answer)) << result.written;
  }
}

TEST(HttpPersistence, EndsAtTheLastRequestAllowed) {
  Limits limits;
  limits.requests_per_connection = 2;
  Result result = Serve({Get() + Get() + Get()}, Hello, limits);
  EXPECT_EQ(result.written, std::string(kHello) + kHelloClose);
}

TEST(HttpPersistence, EndsWhenTheServerDrains) {
  EXPECT_EQ(Serve({Get()}, Hello, {}, nullptr, true).handled, 0) << "it does not rest";
  Result result;
  ScriptedStream stream({Get() + Get()});
  ConnectionInfo info;
  info.server_software = "";
  FunctionHandler handler([&](Request& request, Response& response) {
    result.events.draining = true;
    Hello(request, response);
  });
  Limits limits;
  HttpConnection(stream, limits, info, result.events).Serve(handler);
  EXPECT_EQ(stream.written, kHelloClose);
}

TEST(HttpPersistence, RestsOnceForAPipelineOfAThousand) {
  std::string pipeline, answers;
  for (int i = 0; i < 1000; ++i) {
    pipeline += Get();
    answers += kHello;
  }
  Result result = Serve({pipeline}, Hello);
  EXPECT_EQ(result.written, answers);
  EXPECT_LE(result.rests, 20);
}

TEST(HttpBody, ThatNobodyReadsIsDroppedBeforeTheNextRequest) {
  std::string body(5000, 'G');
  for (const std::string& post : {Get("Content-Length: 5000\r\n", "1.1", "POST") + body,
                                  Get("Transfer-Encoding: chunked\r\n", "1.1", "POST") +
                                      "1388\r\n" + body + "\r\n0\r\n\r\n"}) {
    Result result = Serve({post + Get()}, Hello);
    EXPECT_EQ(result.written, std::string(kHello) + kHello);
    EXPECT_EQ(Serve(ScriptedStream::Split(post + Get(), 3000), Hello).handled, 2);
  }
}

TEST(HttpBody, ThatIsTooLargeToDropEndsTheConnection) {
  std::string post = Get("Content-Length: 1000000\r\n", "1.1", "POST");
  Result result = Serve({post + std::string(1000000, 'x') + Get()}, Hello);
  EXPECT_EQ(result.written, kHelloClose);
}

TEST(HttpExpect, ContinueIsSentWhenTheHandlerFirstReads) {
  std::string post = Get("Expect: 100-continue\r\nContent-Length: 5\r\n", "1.1", "POST");
  auto read = [](Request& request, Response& response) {
    int error = 0;
    response.SetHeader("Date", "now");
    response.Write(ReadAll(request, error));
  };
  Result result = Serve({post, "hello", Get()}, read);
  EXPECT_TRUE(result.written.starts_with(std::string("HTTP/1.1 100 Continue\r\n\r\n") + kHello));
  EXPECT_EQ(result.handled, 2);
  // The body came at once: nobody waits.
  EXPECT_TRUE(Serve({post + "hello"}, read).written.starts_with(kHello));
  // Not read: a final answer, no 100, and the connection ends, for the body may come or not.
  Result unread = Serve({post, Get()}, Hello);
  EXPECT_EQ(unread.written, kHelloClose);
  EXPECT_EQ(unread.handled, 1);
  // HTTP/1.0 knows no 100.
  std::string old = Get("Expect: 100-continue\r\nContent-Length: 5\r\n", "1.0", "POST");
  EXPECT_TRUE(Serve({old, "hello"}, read).written.starts_with(kHelloClose));
}

TEST(HttpVariables, AreThoseOfTheStandard) {
  std::map<std::string, std::string> variables;
  FieldList extra;
  extra.Add("SSL_PROTOCOL", "TLSv1.3");
  ConnectionInfo info{"192.0.2.7", "192.0.2.1", 4321, 8443, true, "cogi", &extra};
  Result result = Serve(
      {"POST /a%20b/c?x=y%20z HTTP/1.1\r\nHost: www.example:81\r\nContent-Length: 2\r\n"
       "Content-Type: a/b\r\nAccept: c\r\nAccept: d\r\nCookie: e=f\r\nX-Y: z\r\nCookie: g=h\r\n"
       "Proxy: evil\r\nX_Under: no\r\nX.Dot: no\r\nConnection: keep-alive\r\nTE: trailers\r\n"
       "Authorization: Basic eA==\r\nExpect: 100-continue\r\n\r\nhi"},
      [&](Request& request, Response&) {
        request.SetVariable("SCRIPT_NAME", "/a b");
        request.SetVariable("PATH_INFO", "/c");
        request.SetVariable("HTTP_X_Y", "replaced");
        request.UnsetVariable("REMOTE_HOST");
        request.ForEachVariable([&](std::string_view name, std::string_view value) {
          EXPECT_TRUE(variables.emplace(name, value).second) << name << " twice";
          EXPECT_EQ(request.Variable(name), value) << name;
        });
        EXPECT_EQ(request.Header("authorization"), "Basic eA==");
        EXPECT_EQ(request.Header("accept"), "c, d");
        EXPECT_EQ(request.Header("nothing"), "");
        for (const char* name : {"HTTP_PROXY", "REMOTE_HOST", "HTTP_AUTHORIZATION", "NOTHING"}) {
          EXPECT_EQ(request.Variable(name), std::nullopt) << name;
        }
      },
      {}, &info);
  std::map<std::string, std::string> expected = {{"CONTENT_LENGTH", "2"},
                                                 {"CONTENT_TYPE", "a/b"},
                                                 {"DOCUMENT_URI", "/a b/c"},
                                                 {"GATEWAY_INTERFACE", "CGI/1.1"},
                                                 {"HTTPS", "on"},
                                                 {"HTTP_ACCEPT", "c, d"},
                                                 {"HTTP_COOKIE", "e=f; g=h"},
                                                 {"HTTP_HOST", "www.example:81"},
                                                 {"HTTP_X_Y", "replaced"},
                                                 {"PATH_INFO", "/c"},
                                                 {"QUERY_STRING", "x=y%20z"},
                                                 {"REDIRECT_STATUS", "200"},
                                                 {"REMOTE_ADDR", "192.0.2.7"},
                                                 {"REMOTE_PORT", "4321"},
                                                 {"REQUEST_METHOD", "POST"},
                                                 {"REQUEST_SCHEME", "https"},
                                                 {"REQUEST_URI", "/a%20b/c?x=y%20z"},
                                                 {"SCRIPT_NAME", "/a b"},
                                                 {"SERVER_ADDR", "192.0.2.1"},
                                                 {"SERVER_NAME", "www.example"},
                                                 {"SERVER_PORT", "8443"},
                                                 {"SERVER_PROTOCOL", "HTTP/1.1"},
                                                 {"SERVER_SOFTWARE", "cogi"},
                                                 {"SSL_PROTOCOL", "TLSv1.3"}};
  EXPECT_EQ(variables, expected);
  EXPECT_EQ(result.handled, 1);
}

TEST(HttpVariables, OfAnAbsoluteTargetHaveItsAuthority) {
  Result result = Serve({"GET HTTP://Other:99?q HTTP/1.1\r\nHost: a\r\n\r\n"},
                        [&](Request& request, Response&) {
                          EXPECT_EQ(request.Header("Host"), "Other:99");
                          EXPECT_EQ(request.Variable("HTTP_HOST"), "Other:99");
                          EXPECT_EQ(request.Variable("SERVER_NAME"), "Other");
                          EXPECT_EQ(request.Variable("REQUEST_URI"), "/?q");
                          EXPECT_EQ(request.path(), "/");
                          EXPECT_EQ(request.query(), "q");
                          EXPECT_EQ(request.target(), "HTTP://Other:99?q");
                        });
  EXPECT_EQ(result.handled, 1);
}

TEST(HttpVariables, OfAnAbsoluteTargetWithoutAHostFieldHaveItsAuthority) {
  const Result result =
      Serve({"GET http://other:99/x HTTP/1.0\r\nX-A: b\r\n\r\n"}, [&](Request& request, Response&) {
        EXPECT_EQ(request.Header("host"), "other:99");
        EXPECT_EQ(request.Variable("HTTP_HOST"), "other:99");
        EXPECT_EQ(request.Variable("SERVER_NAME"), "other");
        int hosts = 0;
        request.ForEachVariable([&](auto name, auto value) {
          if (name == "HTTP_HOST" && value == "other:99") ++hosts;
        });
        EXPECT_EQ(hosts, 1);
        request.UnsetVariable("HTTP_HOST");
        EXPECT_EQ(request.Variable("HTTP_HOST"), std::nullopt);
      });
  EXPECT_EQ(result.handled, 1);
  Serve({"GET /x HTTP/1.0\r\n\r\n"}, [&](Request& request, Response&) {
    EXPECT_EQ(request.Header("Host"), "");
    EXPECT_EQ(request.Variable("HTTP_HOST"), std::nullopt);
  });
}

TEST(HttpVariables, WithoutABodyHaveNoContentLength) {
  Serve({Get()}, [&](Request& request, Response&) {
    EXPECT_EQ(request.Variable("CONTENT_LENGTH"), std::nullopt);
    EXPECT_EQ(request.Variable("CONTENT_TYPE"), std::nullopt);
    EXPECT_EQ(request.Variable("QUERY_STRING"), "");
    EXPECT_EQ(request.content_length(), 0U);
    EXPECT_EQ(request.Variable("HTTPS"), std::nullopt);
  });
  Serve({Get("Transfer-Encoding: chunked\r\n", "1.1", "POST") + "0\r\n\r\n"},
        [&](Request& request, Response&) { EXPECT_EQ(request.content_length(), std::nullopt); });
}

TEST(HttpVariables, OfOneRequestDoNotReachTheNext) {
  int count = 0;
  Serve({Get("X-A: b\r\n") + Get()}, [&](Request& request, Response&) {
    EXPECT_EQ(request.Variable("MINE"), std::nullopt);
    EXPECT_EQ(request.Variable("HTTP_X_A").has_value(), count == 0);
    EXPECT_TRUE(request.id().empty());
    request.SetVariable("MINE", "x");
    request.UnsetVariable("HTTP_HOST");
    request.set_id("one");
    ++count;
  });
  EXPECT_EQ(count, 2);
}

TEST(HttpRoute, MayNarrowTheBodyLimit) {
  Result result = Serve({Get("Content-Length: 5\r\n", "1.1", "POST") + "hello"},
                        [](Request& request, Response& response) {
                          request.set_terms({.body = 4});
                          int error = 0;
                          ReadAll(request, error);
                          EXPECT_EQ(error, EMSGSIZE);
                          response.Write("kept back, so replaced");
                        });
  EXPECT_TRUE(result.written.starts_with("HTTP/1.1 413 "));
  EXPECT_EQ(result.events.codes, std::vector<std::string>{"body_too_large"});
}

}  // namespace
}  // namespace cogi::cgi
