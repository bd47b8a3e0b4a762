// A body that must be in before the answer's head is sent: kept in memory and in an unlinked file,
// and read as if it came from the connection.
#include "cgi/body_spool.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "cgi/fastcgi_connection.h"
#include "cgi/http_connection.h"
#include "tests/cgi/fcgi_peer.h"
#include "tests/cgi/recording.h"
#include "tests/cgi/scripted_stream.h"

namespace cogi::cgi {
namespace {

std::string Numbered(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

int OpenFds() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

std::string Drain(BodySpool& spool, size_t piece) {
  std::string all, buffer(piece, '\0');
  for (ssize_t got; (got = spool.Read(buffer.data(), piece)) != 0;) {
    if (got < 0) return "failed";
    all.append(buffer, 0, static_cast<size_t>(got));
  }
  return all;
}

TEST(BodySpool, GivesBackWhatItWasGivenInOrder) {
  const int fds = OpenFds();
  const std::string text = Numbered(100'000);
  for (const size_t memory : {0u, 1u, 1000u, 99'999u, 100'000u}) {
    for (const size_t piece : {1u, 7u, 4096u, 200'000u}) {
      BodySpool spool;
      spool.Start(memory, "/tmp");
      for (size_t at = 0; at < text.size(); at += 999) {
        ASSERT_TRUE(spool.Append(std::string_view(text).substr(at, 999)));
      }
      EXPECT_EQ(spool.left(), text.size());
      EXPECT_TRUE(Drain(spool, piece) == text) << memory << ' ' << piece;
      EXPECT_TRUE(spool.empty());
    }
  }
  EXPECT_EQ(OpenFds(), fds);
}

TEST(BodySpool, SaysWhyItCannotKeepABody) {
  BodySpool spool;
  spool.Start(10, "/no/such/folder");
  EXPECT_TRUE(spool.Append("0123456789"));
  EXPECT_FALSE(spool.Append("x"));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(Drain(spool, 100), "0123456789");
}

// Sends the head first, then reads.
void AnswerFirst(Request& request, Response& response) {
  response.SetHeader("Date", "now");
  if (!response.Flush()) return;
  int error = 0;
  const std::string body = ReadAll(request, error);
  response.Write(error == 0 ? body : "error");
}

std::string ServeHttp(const std::string& request, const Limits& limits, RecordingEvents& events) {
  ScriptedStream stream({request});
  ConnectionInfo info;
  info.server_software = "";
  FunctionHandler handler(AnswerFirst);
  HttpConnection(stream, limits, info, events).Serve(handler);
  return stream.written;
}

TEST(HttpSpool, TheBodyIsInBeforeTheHeadGoesOutAndIsReadAfterIt) {
  const std::string body = Numbered(200'000);
  const std::string known = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + body;
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + body +
      "\r\n0\r\n\r\n";
  for (const std::string& request : {known, chunked}) {
    Limits limits;
    limits.body_memory = 1000;
    RecordingEvents events;
    const std::string written =
        ServeHttp(request + "GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits, events);
    EXPECT_NE(written.find(body), std::string::npos);
    EXPECT_EQ(events.statuses, (std::vector<int>{200, 200}));
  }
}

TEST(HttpSpool, AnErrorTakesThePlaceOfTheHeadThatWasNotSent) {
  Limits limits;
  limits.body = 1000;
  RecordingEvents events;
  const std::string written =
      ServeHttp("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                    std::string(2000, 'x') + "\r\n0\r\n\r\n",
                limits, events);
  EXPECT_TRUE(written.starts_with("HTTP/1.1 413 ")) << written;
  EXPECT_EQ(events.codes, std::vector<std::string>{"body_too_large"});
}

TEST(HttpSpool, AFullDiskIsSaid) {
  Limits limits;
  limits.body_memory = 1000;
  limits.spool_folder = "/no/such/folder";
  RecordingEvents events;
  const std::string written = ServeHttp(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + std::string(2000, 'x'), limits,
      events);
  EXPECT_TRUE(written.starts_with("HTTP/1.1 507 ")) << written;
  EXPECT_EQ(events.codes, std::vector<std::string>{"body_no_room"});
}

TEST(FastCgiSpool, TheBodyIsInBeforeTheHeadGoesOutAndIsReadAfterIt) {
  using namespace fcgi;
  const std::string body = Numbered(200'000);
  ScriptedStream stream({PostRequest(1, true, body) + PostRequest(2, true, "small")});
  Limits limits;
  limits.body_memory = 1000;
  RecordingEvents events;
  ConnectionInfo info;
  FunctionHandler handler(AnswerFirst);
  FastCgiConnection(stream, limits, info, events).Serve(handler);
  EXPECT_EQ(events.statuses, (std::vector<int>{200, 200}));
  EXPECT_NE(Parse(stream.written).requests.at(1).out.find(body), std::string::npos);
}

}  // namespace
}  // namespace cogi::cgi
