#include "cgi/cgi_header_parser.h"

#include <gtest/gtest.h>

#include <string>

#include "cgi/response.h"

namespace cogi::cgi {
namespace {

using State = CgiHeaderParser::State;
using Form = CgiHeaderParser::Form;

struct Case {
  const char* name;
  std::string output;
  State state;
  int status = 200;
  Form form = Form::kDocument;
  std::string fields = "";  // as "name=value;"
  std::string body = "";
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

const Case kCases[] = {
    {"Document", "Content-Type: text/plain\n\nhi", State::kDone, 200, Form::kDocument,
     "Content-Type=text/plain;", "hi"},
    {"DocumentCrLf", "Content-type:text/plain\r\nX-A:  b \r\n\r\nhi\n", State::kDone, 200,
     Form::kDocument, "Content-type=text/plain;X-A=b;", "hi\n"},
    {"MixedLineEnds", "Content-Type: a/b\r\nX: y\n\r\n\n", State::kDone, 200, Form::kDocument,
     "Content-Type=a/b;X=y;", "\n"},
    {"Status", "Status: 404 Not here\nContent-Type: a/b\n\n", State::kDone, 404, Form::kDocument,
     "Content-Type=a/b;"},
    {"StatusAlone", "Status: 204\n\n", State::kDone, 204},
    {"LocalRedirect", "Location: /other?x=y\n\n", State::kDone, 200, Form::kLocalRedirect},
    {"ClientRedirect", "Location: http://a/b\n\n", State::kDone, 302, Form::kClientRedirect,
     "Location=http://a/b;"},
    {"ClientRedirectWithStatus", "Status: 301 Moved\nLocation: /b\n\n", State::kDone, 301,
     Form::kClientRedirect, "Location=/b;"},
    {"RelativeRedirectWithCookie", "Location: /b\nSet-Cookie: a=b\n\n", State::kDone, 302,
     Form::kClientRedirect, "Set-Cookie=a=b;Location=/b;"},
    {"SchemeRelativeRedirect", "Location: //evil/x\n\n", State::kDone, 302, Form::kClientRedirect,
     "Location=//evil/x;"},
    {"TwoCookies", "Set-Cookie: a=b\nSet-Cookie: c=d\n\n", State::kDone, 200, Form::kDocument,
     "Set-Cookie=a=b;Set-Cookie=c=d;"},
    {"HopByHopDropped",
     "Content-Type: a/b\nConnection: close\nTransfer-Encoding: chunked\nKeep-Alive: 5\n\n",
     State::kDone, 200, Form::kDocument, "Content-Type=a/b;"},
    {"ExtensionsDropped", "Content-Type: a/b\nX-CGI-Note: x\n\n", State::kDone, 200,
     Form::kDocument, "Content-Type=a/b;"},
    {"StatusLine", "HTTP/1.0 403 No\r\nContent-Type: a/b\r\n\r\n", State::kDone, 403,
     Form::kDocument, "Content-Type=a/b;"},
    {"ContentLength", "Content-Type: a/b\nContent-Length: 5\n\nhello", State::kDone, 200,
     Form::kDocument, "Content-Type=a/b;Content-Length=5;", "hello"},
    {"Nothing", "", State::kBad},
    {"NoField", "\nbody", State::kBad},
    {"HtmlAtOnce", "<html>\n<body>\n", State::kBad},
    {"NoEnd", "Content-Type: text/plain\n", State::kBad},
    {"NoColon", "Content-Type text/plain\n\n", State::kBad},
    {"SpaceBeforeColon", "Content-Type : text/plain\n\n", State::kBad},
    {"Folded", "Content-Type: a/b\n X\n\n", State::kBad},
    {"NulInValue", std::string("A: b\0c\n\n", 8), State::kBad},
    {"BareCr", "A: b\rC: d\n\n", State::kBad},
    {"StatusWord", "Status: OK\n\n", State::kBad},
    {"StatusLong", "Status: 999x\n\n", State::kBad},
    {"StatusFourDigits", "Status: 2000\n\n", State::kBad},
    {"StatusNegative", "Status: -20\n\n", State::kBad},
    {"StatusInformational", "Status: 100 Continue\n\n", State::kBad},
    {"StatusSixHundred", "Status: 600\n\n", State::kBad},
    {"StatusTwice", "Status: 200\nStatus: 404\n\n", State::kBad},
    {"LocationTwice", "Location: /a\nLocation: /b\n\n", State::kBad},
    {"LocationEmpty", "Location:\n\n", State::kBad},
    {"ContentTypeTwice", "Content-Type: a/b\nContent-Type: c/d\n\n", State::kBad},
    {"ContentLengthTwice", "Content-Length: 1\nContent-Length: 1\n\n", State::kBad},
    {"ContentLengthWord", "Content-Length: x\n\n", State::kBad},
};

class CgiHeader : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Cases, CgiHeader, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

void ExpectCase(const Case& test, CgiHeaderParser& parser, const std::string& first,
                const std::string& second) {
  std::string body;
  for (const std::string& piece : {first, second}) {
    size_t used = parser.state() == State::kMore ? parser.Push(piece) : 0;
    if (parser.state() == State::kDone) body += piece.substr(used);
  }
  parser.Finish();
  ASSERT_EQ(parser.state(), test.state) << parser.error();
  if (test.state == State::kBad) {
    EXPECT_STRNE(parser.error(), "");
    return;
  }
  EXPECT_EQ(parser.status(), test.status);
  EXPECT_EQ(parser.form(), test.form);
  EXPECT_EQ(body, test.body);
  std::string fields;
  for (size_t i = 0; i < parser.fields().size(); ++i) {
    FieldView field = parser.fields()[i];
    fields.append(field.name).append("=").append(field.value).append(";");
  }
  EXPECT_EQ(fields, test.fields);
}

TEST_P(CgiHeader, IsReadTheSameHoweverItIsSplit) {
  const Case& test = GetParam();
  CgiHeaderParser parser;
  for (size_t at = 0; at <= test.output.size(); ++at) {
    SCOPED_TRACE(at);
    parser.Reset();
    ExpectCase(test, parser, test.output.substr(0, at), test.output.substr(at));
    if (HasFatalFailure()) return;
  }
}

class Sink final : public Response {
  bool Emit(const Output&) override { return true; }
};

TEST(CgiHeaderResult, BecomesTheResponse) {
  CgiHeaderParser parser;
  parser.Push(
      "Status: 404 Not here\nContent-Type: a/b\nSet-Cookie: a\nSet-Cookie: b\n"
      "Content-Length: 3\n\n");
  Sink response;
  parser.ApplyTo(response);
  EXPECT_EQ(response.status(), 404);
  EXPECT_EQ(response.reason(), "Not here");
  EXPECT_EQ(response.fields().size(), 4U);
  EXPECT_EQ(response.Header("Content-Type"), "a/b");
  EXPECT_TRUE(response.Write("four"));
  EXPECT_TRUE(response.body_cut()) << "its Content-Length holds";
}

TEST(CgiHeaderLimits, BoundSizeAndNumberOfFields) {
  CgiHeaderParser parser;
  parser.Push("X: " + std::string(CgiHeaderParser::kMaxHeader, 'x'));
  EXPECT_EQ(parser.state(), State::kBad);
  parser.Reset();
  for (size_t i = 0; i <= CgiHeaderParser::kMaxFields; ++i) parser.Push("X: y\n");
  EXPECT_EQ(parser.state(), State::kBad);
  // A line without an end must not be kept for ever either.
  parser.Reset();
  for (int i = 0; i < 100 && parser.state() == State::kMore; ++i)
    parser.Push(std::string(1000, 'x'));
  EXPECT_EQ(parser.state(), State::kBad);
}

// The limit is of bytes, however a program writes them.
TEST(CgiHeaderLimits, DoNotDependOnThePieces) {
  const std::string header = "X-Long: " + std::string(20'000, 'x') + "\n\n";
  CgiHeaderParser parser;
  for (const char c : header) EXPECT_EQ(parser.Push({&c, 1}), 1U);
  EXPECT_EQ(parser.state(), State::kDone) << parser.error();
}

}  // namespace
}  // namespace cogi::cgi
