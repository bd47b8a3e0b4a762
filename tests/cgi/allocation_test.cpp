// A warm front end takes no memory for a request: what it needs it has from the requests before.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "cgi/fastcgi_connection.h"
#include "cgi/http_connection.h"
#include "tests/cgi/fcgi_peer.h"

namespace {
size_t allocations = 0;
}  // namespace

// GCC sees free() through an inlined delete and takes it for a mistake; new is malloc() here.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

// All of new counts; malloc is underneath, so that sanitizers still see it.
void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace cogi::cgi {
namespace {

constexpr int kWarm = 5;
constexpr int kCounted = 100;

// The same request again and again. After kWarm of them it begins to count.
class LoopStream final : public ByteStream {
 public:
  explicit LoopStream(std::string request) : request_(std::move(request)) {}
  ssize_t Read(void* buffer, size_t size) override {
    size = std::min(size, request_.size() - at_);
    std::memcpy(buffer, request_.data() + at_, size);
    at_ += size;
    return static_cast<ssize_t>(size);
  }
  bool Write(iovec*, int) override { return ++writes_ > 0; }
  bool SendFile(int, off_t, size_t) override { return true; }
  bool AwaitInput() override {
    if (rests_ == kWarm) allocations = 0;
    at_ = 0;
    return rests_++ < kWarm + kCounted;
  }
  void SetReadDeadline(Deadline) override {}
  void SetWriteTimeout(std::chrono::milliseconds) override {}
  [[nodiscard]] int writes() const { return writes_; }

 private:
  std::string request_;
  size_t at_ = 0;
  int rests_ = 0;
  int writes_ = 0;
};

class Page final : public Handler {
 public:
  void Serve(Request& request, Response& response) override {
    char body[1000];
    size_t size = 0;
    for (ssize_t got; (got = request.ReadBody(body, sizeof body)) > 0;) {
      size += static_cast<size_t>(got);
    }
    for (std::string_view name : {"REMOTE_PORT", "HTTP_COOKIE", "SCRIPT_NAME"}) {
      size += request.Variable(name).value_or("").size();
    }
    request.SetVariable("SCRIPT_NAME", "/script");
    response.SetHeader("Content-Type", "text/html; charset=utf-8");
    response.AddHeader("Set-Cookie", "session=0123456789abcdef0123456789abcdef; HttpOnly");
    response.Write(page_);
    sum_ += size;
  }

 private:
  std::string page_ = std::string(8000, 'x');
  size_t sum_ = 0;
};

template <typename Connection>
size_t CountAllocations(const std::string& request) {
  LoopStream stream(request);
  Limits limits;
  ConnectionInfo info{"127.0.0.1", "127.0.0.1", 50000, 8080};
  Events events;
  Page page;
  Connection(stream, limits, info, events).Serve(page);
  EXPECT_EQ(stream.writes(), kWarm + kCounted);
  return allocations;
}

TEST(Allocation, HttpTakesNoneForARequestOnceItIsWarm) {
  std::string fields =
      "Host: www.example.org\r\nAccept-Language: en-GB,en;q=0.9\r\n"
      "Cookie: a=b\r\nCookie: c=d\r\n";
  EXPECT_EQ(CountAllocations<HttpConnection>("GET /a/%62/../c?d HTTP/1.1\r\n" + fields + "\r\n"),
            0U);
  EXPECT_EQ(
      CountAllocations<HttpConnection>("POST / HTTP/1.1\r\n" + fields +
                                       "Content-Length: 2000\r\n\r\n" + std::string(2000, 'b')),
      0U);
}

TEST(Allocation, FastCgiTakesNoneForARequestOnceItIsWarm) {
  fcgi::Params params = fcgi::GetParams();
  params.emplace_back("HTTP_COOKIE", std::string(200, 'c'));
  params.emplace_back("SERVER_NAME", "www.example.org");
  EXPECT_EQ(CountAllocations<FastCgiConnection>(
                fcgi::Begin(1, true) + fcgi::ParamRecords(1, params) + fcgi::StdinRecords(1, "")),
            0U);
  EXPECT_EQ(CountAllocations<FastCgiConnection>(fcgi::PostRequest(1, true, std::string(3000, 'b'))),
            0U);
}

}  // namespace
}  // namespace cogi::cgi
