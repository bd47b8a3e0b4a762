// What cgi/ costs a request without the kernel: parsers, and whole requests over memory.
//
//   build/bench/cgi_parsers/cgi_parsers_bench [--benchmark_filter=Http]
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>

#include "cgi/cgi_header_parser.h"
#include "cgi/fastcgi_connection.h"
#include "cgi/fcgi_encoder.h"
#include "cgi/http_connection.h"
#include "cgi/http_head.h"
#include "cgi/path_normalizer.h"

namespace cogi::cgi {
namespace {

const std::string kSmall = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

// What a desktop browser sends.
const std::string kBrowser =
    "GET /articles/2026/index.html?page=2&sort=date HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Referer: https://www.example.org/articles/\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

// The peer is a request that comes again and again; what is written is dropped.
class LoopStream final : public ByteStream {
 public:
  LoopStream(std::string request, benchmark::State& state)
      : request_(std::move(request)), state_(state) {}
  ssize_t Read(void* buffer, size_t size) override {
    if (size < request_.size()) return -1;
    std::memcpy(buffer, request_.data(), request_.size());
    return static_cast<ssize_t>(request_.size());
  }
  bool Write(iovec* pieces, int count) override {
    benchmark::DoNotOptimize(pieces[count - 1].iov_base);
    return true;
  }
  bool SendFile(int, off_t, size_t) override { return true; }
  bool AwaitInput() override { return state_.KeepRunning(); }
  void SetReadDeadline(Deadline) override {}
  void SetWriteTimeout(std::chrono::milliseconds) override {}

 private:
  std::string request_;
  benchmark::State& state_;
};

class Hello final : public Handler {
 public:
  void Serve(Request&, Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    response.Write("hello world\n");
  }
};

class AllVariables final : public Handler {
 public:
  void Serve(Request& request, Response& response) override {
    size_t size = 0;
    request.ForEachVariable(
        [&](std::string_view name, std::string_view value) { size += name.size() + value.size(); });
    response.SetHeader("Content-Length", "0");
    benchmark::DoNotOptimize(size);
  }
};

void ServeHttp(benchmark::State& state, const std::string& request, Handler& handler) {
  LoopStream stream(request, state);
  Limits limits;
  ConnectionInfo info{"127.0.0.1", "127.0.0.1", 50000, 8080};
  Events events;
  HttpConnection(stream, limits, info, events).Serve(handler);
}

void HttpHeadOf(benchmark::State& state, const std::string& request) {
  HttpHeadParser parser;
  HttpHead head;
  Limits limits;
  for (auto _ : state) {
    parser.Reset();
    auto result = parser.Push(request, limits, head);
    benchmark::DoNotOptimize(result);
  }
}

void HttpHeadSmall(benchmark::State& state) { HttpHeadOf(state, kSmall); }
void HttpHeadBrowser(benchmark::State& state) { HttpHeadOf(state, kBrowser); }
void HttpHelloSmall(benchmark::State& state) {
  Hello handler;
  ServeHttp(state, kSmall, handler);
}
void HttpHelloBrowser(benchmark::State& state) {
  Hello handler;
  ServeHttp(state, kBrowser, handler);
}
void HttpVariablesBrowser(benchmark::State& state) {
  AllVariables handler;
  ServeHttp(state, kBrowser, handler);
}

// What nginx sends with its stock fastcgi_params.
std::string FastCgiRequestBytes() {
  std::string pairs, out;
  for (auto [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"QUERY_STRING", ""},
           {"REQUEST_METHOD", "GET"},
           {"CONTENT_TYPE", ""},
           {"CONTENT_LENGTH", ""},
           {"SCRIPT_NAME", "/hello"},
           {"REQUEST_URI", "/hello"},
           {"DOCUMENT_URI", "/hello"},
           {"DOCUMENT_ROOT", "/usr/share/nginx/html"},
           {"SERVER_PROTOCOL", "HTTP/1.1"},
           {"REQUEST_SCHEME", "http"},
           {"GATEWAY_INTERFACE", "CGI/1.1"},
           {"SERVER_SOFTWARE", "nginx/1.22.1"},
           {"REMOTE_ADDR", "127.0.0.1"},
           {"REMOTE_PORT", "50000"},
           {"SERVER_ADDR", "127.0.0.1"},
           {"SERVER_PORT", "80"},
           {"SERVER_NAME", "localhost"},
           {"REDIRECT_STATUS", "200"},
           {"HTTP_HOST", "localhost"},
           {"HTTP_USER_AGENT", "curl/7.88.1"},
           {"HTTP_ACCEPT", "*/*"}}) {
    fcgi::AppendPair(pairs, name, value);
  }
  fcgi::AppendBeginRequest(out, 1, fcgi::Role::kResponder, true);
  fcgi::AppendStream(out, fcgi::Type::kParams, 1, pairs);
  fcgi::AppendStreamEnd(out, fcgi::Type::kParams, 1);
  fcgi::AppendStreamEnd(out, fcgi::Type::kStdin, 1);
  return out;
}

void FastCgiHello(benchmark::State& state) {
  LoopStream stream(FastCgiRequestBytes(), state);
  Limits limits;
  ConnectionInfo info;
  Events events;
  Hello handler;
  FastCgiConnection(stream, limits, info, events).Serve(handler);
}

void CgiHeader(benchmark::State& state) {
  const std::string output =
      "Content-Type: text/html; charset=utf-8\nCache-Control: no-store\nSet-Cookie: a=b\n\n<html>";
  CgiHeaderParser parser;
  for (auto _ : state) {
    parser.Reset();
    benchmark::DoNotOptimize(parser.Push(output));
  }
}

void Path(benchmark::State& state) {
  const std::string raw = "/articles/%32026/./index.html";
  char out[64];
  for (auto _ : state) {
    size_t size = 0;
    benchmark::DoNotOptimize(NormalizePath(raw, out, size));
  }
}

BENCHMARK(HttpHeadSmall);
BENCHMARK(HttpHeadBrowser);
BENCHMARK(HttpHelloSmall);
BENCHMARK(HttpHelloBrowser);
BENCHMARK(HttpVariablesBrowser);
BENCHMARK(FastCgiHello);
BENCHMARK(CgiHeader);
BENCHMARK(Path);

}  // namespace
}  // namespace cogi::cgi

BENCHMARK_MAIN();
