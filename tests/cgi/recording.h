// What the tests of both front ends share: events that are remembered, handlers made of functions.
#ifndef COGI_TESTS_CGI_RECORDING_H_
#define COGI_TESTS_CGI_RECORDING_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cgi/events.h"
#include "cgi/handler.h"

namespace cogi::cgi {

class RecordingEvents : public Events {
 public:
  void Started(Request&) override { ++started; }
  void Finished(Request&, const Response& response) override {
    ++finished;
    statuses.push_back(response.status());
  }
  void Refused(const Refusal& refusal, const Request*) override {
    codes.emplace_back(refusal.code);
    EXPECT_NE(std::string(refusal.reason), "");
  }
  void Threw(Request&, const char* what) override { threw.emplace_back(what); }
  bool Draining() override { return draining; }

  int started = 0;
  int finished = 0;
  std::vector<int> statuses;
  std::vector<std::string> codes;
  std::vector<std::string> threw;
  bool draining = false;
};

class FunctionHandler : public Handler {
 public:
  using Function = std::function<void(Request&, Response&)>;
  explicit FunctionHandler(Function function) : function_(std::move(function)) {}
  void Serve(Request& request, Response& response) override { function_(request, response); }

 private:
  Function function_;
};

// ReadAll() is the whole body; `error` is the errno of the read that failed, 0 if none did.
inline std::string ReadAll(Request& request, int& error) {
  std::string body;
  char buffer[777];
  for (;;) {
    ssize_t got = request.ReadBody(buffer, sizeof buffer);
    error = got < 0 ? errno : 0;
    if (got <= 0) return body;
    body.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace cogi::cgi

#endif  // COGI_TESTS_CGI_RECORDING_H_
