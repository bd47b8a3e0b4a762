#include "server/self_check.h"

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/http_connection.h"
#include "server/log.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// A client that sends one request, takes whatever is answered, and never makes anybody wait.
class OneRequest final : public cgi::ByteStream {
 public:
  explicit OneRequest(std::string_view bytes) : rest_(bytes) {}
  ssize_t Read(void* buffer, size_t size) override {
    const size_t taken = rest_.copy(static_cast<char*>(buffer), size);
    rest_.remove_prefix(taken);
    return static_cast<ssize_t>(taken);
  }
  bool Write(iovec*, int) override { return true; }
  bool SendFile(int, off_t, size_t) override { return true; }
  bool AwaitInput() override { return true; }
  void SetReadDeadline(cgi::Deadline) override {}
  void SetWriteTimeout(std::chrono::milliseconds) override {}

 private:
  std::string_view rest_;
};

// What became of the request.
class Outcome final : public cgi::Events {
 public:
  void Started(cgi::Request& request) override { request.set_id("self-check"); }
  void Finished(cgi::Request&, const cgi::Response& response) override {
    status_ = response.aborted() ? 0 : response.status();
  }
  void Refused(const cgi::Refusal& refusal, const cgi::Request*) override {
    status_ = refusal.status;
    why_ = refusal.reason;
  }
  void Threw(cgi::Request&, const char* what) override { why_ = what; }

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::string Text() const {
    const std::string text = status_ == 0 ? "was cut off" : Concat("was answered ", status_);
    return why_.empty() ? text : Concat(text, " (", why_, ")");
  }

 private:
  int status_ = 0;
  std::string why_;
};

Outcome Ask(const config::SelfCheck& check, const cgi::Limits& limits, cgi::Handler& handler) {
  const std::string request =
      Concat("GET ", check.target, " HTTP/1.1\r\nHost: ", check.host,
             "\r\nUser-Agent: cogi self-check\r\nConnection: close\r\n\r\n");
  cgi::ConnectionInfo info;
  info.remote_address = info.server_address = "127.0.0.1";
  OneRequest stream(request);
  Outcome outcome;
  cgi::HttpConnection(stream, limits, info, outcome).Serve(handler);
  return outcome;
}

}  // namespace

std::string CheckSelf(const config::Pool& pool, const cgi::Limits& limits, cgi::Handler& handler,
                      const std::function<void(std::string_view)>& asking) {
  for (const config::SelfCheck& check : pool.self_check) {
    const std::string what = Concat("self-check: ", check.target, " of ", check.host);
    asking(Concat(what, " is not answered"));
    const Outcome outcome = Ask(check, limits, handler);
    if (outcome.status() != check.status)
      return Concat(what, " ", outcome.Text(), ", expected ", check.status);
    LogInfo(what, " ", outcome.Text());
  }
  return {};
}

}  // namespace cogi::server
