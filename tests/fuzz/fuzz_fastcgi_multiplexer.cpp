// The FastCGI front end of a worker, where requests share a connection and end in any order:
// whatever the bytes are and however they come, what is written are whole lawful records, a request
// is ended at most once, each answer is one that a handler made, and nothing is left behind.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coroutine/scheduler.h"
#include "server/fastcgi_multiplexer.h"
#include "tests/cgi/scripted_stream.h"
#include "tests/fuzz/fuzz.h"

namespace cogi::fuzz {
namespace {

using cgi::fcgi::kHeaderSize;
using cgi::fcgi::Type;

// A stream whose pieces come some turns apart, so that handlers run in between.
class TurningStream final : public cgi::ScriptedStream {
 public:
  TurningStream(std::vector<std::string> pieces, int end_error, int turns)
      : ScriptedStream(std::move(pieces), end_error), turns_(turns) {}
  ssize_t Read(void* buffer, size_t size) override {
    for (int turn = 0; turn < turns_; ++turn) coroutine::Yield();
    return ScriptedStream::Read(buffer, size);
  }

 private:
  int turns_;
};

class Host final : public server::FastCgiMultiplexer::Host {
 public:
  explicit Host(bool gone) : gone_(gone) {}
  std::unique_ptr<cgi::Events> StartRequest() override {
    return places < 5 ? std::make_unique<OneRequest>(*this) : nullptr;
  }
  coroutine::Coroutine* Spawn(std::function<void()> answer) override {
    return coroutine::Go(std::move(answer));
  }
  bool EndsAfterAnswer() override { return false; }
  void RefusedConnection(const cgi::Refusal& refusal) override {
    Promise(refusal.code != nullptr && refusal.reason != nullptr, "a refusal says why");
  }
  bool PeerHasGone() override { return gone_; }

  int places = 0;
  int running = 0;  // started and not finished

 private:
  class OneRequest final : public cgi::Events {
   public:
    explicit OneRequest(Host& host) : host_(host) { ++host_.places; }
    ~OneRequest() override { --host_.places; }
    void Started(cgi::Request&) override { ++host_.running; }
    void Finished(cgi::Request&, const cgi::Response&) override { --host_.running; }

   private:
    Host& host_;
  };
  bool gone_;
};

// Answers what it was told, in pieces, while others run.
class Echo final : public cgi::Handler {
 public:
  void Serve(cgi::Request& request, cgi::Response& response) override {
    std::string seen(request.path());
    request.ForEachVariable([&](std::string_view name, std::string_view value) {
      seen.append(name).append("=").append(value).append("\n");
    });
    char buffer[100];
    for (ssize_t got; (got = request.ReadBody(buffer, sizeof buffer)) > 0; coroutine::Yield())
      seen.append(buffer, static_cast<size_t>(got));
    for (ssize_t got; (got = request.ReadData(buffer, sizeof buffer)) > 0; coroutine::Yield())
      seen.append(buffer, static_cast<size_t>(got));
    made.insert(request.method() == "HEAD" ? std::string() : seen);
    for (size_t at = 0; at < seen.size(); at += 50) {
      response.Write(std::string_view(seen).substr(at, 50));
      if (seen.size() % 3 == 0 && !response.Flush()) return;
    }
  }
  std::set<std::string> made;
};

// Calls visit(type, id, content) for the records of `bytes`. Returns whether they are whole, and
// nothing else is there.
template <class Visit>
bool ForEachRecord(std::string_view bytes, const Visit& visit) {
  while (bytes.size() >= kHeaderSize && bytes[0] == 1) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[i])); };
    const size_t content = byte(4) << 8 | byte(5);
    const size_t size = kHeaderSize + content + byte(6);
    if (bytes.size() < kHeaderSize + content) break;
    visit(static_cast<Type>(bytes[1]), byte(2) << 8 | byte(3), bytes.substr(kHeaderSize, content));
    if (bytes.size() < size) break;  // the padding is missing
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

void CheckAnswers(std::string_view asked, std::string_view written,
                  const std::set<std::string>& made) {
  std::map<size_t, int> begun;
  ForEachRecord(asked, [&](Type type, size_t id, std::string_view) {
    if (type == Type::kBeginRequest) ++begun[id];
  });
  std::map<size_t, std::string> out;
  const bool whole = ForEachRecord(written, [&](Type type, size_t id, std::string_view content) {
    if (id == 0) return;
    Promise(begun[id] > 0, "only what was asked is answered, and ended once");
    if (type == Type::kStdout) {
      out[id] += content;
      return;
    }
    Promise(type == Type::kEndRequest && content.size() == 8, "an application's records");
    --begun[id];
    const std::string answer = std::exchange(out[id], {});
    const size_t body = answer.find("\r\n\r\n");
    const bool given_up = content.substr(0, 4) != std::string_view("\0\0\0\0", 4);
    if (answer.starts_with("Status: 200 ") && !given_up)
      Promise(made.contains(answer.substr(body + 4)), "an answer is what one handler made");
  });
  Promise(whole, "whole records");
}

// Pieces of sizes that follow from `seed`.
std::vector<std::string> Pieces(std::string_view bytes, unsigned seed) {
  std::vector<std::string> pieces;
  while (!bytes.empty()) {
    seed = seed * 1103515245 + 12345;
    const size_t size = std::min<size_t>(1 + (seed >> 16) % 60, bytes.size());
    pieces.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return pieces;
}

}  // namespace
}  // namespace cogi::fuzz

// The first byte says how the others come, and how the connection ends.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cogi::fuzz;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  cogi::cgi::Limits limits;
  limits.params_bytes = 1000;
  limits.params_pairs = 20;
  limits.body = 2000;
  limits.body_memory = 1000;
  const cogi::cgi::ConnectionInfo info;
  const bool gone = (data[0] & 1) != 0;
  TurningStream stream(Pieces(bytes, data[0]), (data[0] & 2) != 0 ? ECONNRESET : 0,
                       data[0] >> 2 & 3);
  Host host(gone);
  Echo handler;
  {
    cogi::coroutine::Scheduler scheduler({.private_stack_size = 64 << 10});
    const cogi::cgi::fcgi::Values values{100, 4, true};
    cogi::server::FastCgiMultiplexer multiplexer(stream, limits, info, values, host);
    scheduler.Spawn([&] { multiplexer.Serve(handler); });
    scheduler.Run();
    Promise(scheduler.live() == 0, "no coroutine is left");
  }
  Promise(host.places == 0 && host.running == 0, "every request gave its place back");
  CheckAnswers(bytes, stream.written, handler.made);
  return 0;
}
