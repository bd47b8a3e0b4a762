// A request and its answer without any connection: what a test of a handler needs.
#ifndef COGI_TESTS_SERVER_PROGRAM_EXCHANGE_H_
#define COGI_TESTS_SERVER_PROGRAM_EXCHANGE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/handler.h"
#include "coroutine/scheduler.h"
#include "server/program/compile.h"
#include "server/program/program_handler.h"
#include "tests/server/scratch.h"

namespace cogi::server {

struct TestRequest final : cgi::Request {
  std::map<std::string, std::string> variables;
  std::string body;
  size_t piece = 65536;  // bytes that one read gives at most
  size_t read = 0;
  std::string data;  // of a FastCGI filter
  size_t data_read = 0;

  std::string_view method() const override { return body.empty() ? "GET" : "POST"; }
  std::string_view target() const override { return "/test"; }
  std::string_view path() const override { return "/test"; }
  std::string_view query() const override { return ""; }
  std::string_view Header(std::string_view) const override { return ""; }
  std::optional<std::string_view> Variable(std::string_view name) const override {
    const auto found = variables.find(std::string(name));
    if (found == variables.end()) return {};
    return found->second;
  }
  void ForEachVariable(
      const std::function<void(std::string_view, std::string_view)>& visit) const override {
    for (const auto& [name, value] : variables) visit(name, value);
  }
  void SetVariable(std::string_view name, std::string_view value) override {
    variables[std::string(name)] = value;
  }
  void UnsetVariable(std::string_view) override {}
  std::optional<uint64_t> content_length() const override { return body.size(); }
  ssize_t ReadBody(void* buffer, size_t size) override {
    coroutine::Yield();
    const size_t count = std::min({size, piece, body.size() - read});
    std::memcpy(buffer, body.data() + read, count);
    read += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t ReadData(void* buffer, size_t size) override {
    const size_t count = std::min(size, data.size() - data_read);
    std::memcpy(buffer, data.data() + data_read, count);
    data_read += count;
    return static_cast<ssize_t>(count);
  }
};

struct TestResponse final : cgi::Response {
  std::string sent;     // the body
  std::string headers;  // as lines
  int flushes = 0;
  int sent_status = 0;
  bool gone = false;  // the client has left

  bool Emit(const Output& output) override {
    coroutine::Yield();
    if (gone) {
      errno = EPIPE;
      return false;
    }
    ++flushes;
    if (output.head) {
      sent_status = status();
      for (size_t i = 0; i < fields().size(); ++i)
        headers.append(fields()[i].name).append(": ").append(fields()[i].value).append("\n");
    }
    sent.append(output.body[0]).append(output.body[1]);
    return true;
  }
  void Begin() { StartOver(true); }
  void Complete() { End(); }
};

struct Exchange {
  TestRequest request;
  TestResponse response;
  std::vector<std::string> log;
  coroutine::Coroutine* coroutine = nullptr;
  bool done = false;
};

// ProgramTest has a scheduler, a folder, and asks programs.
class ProgramTest : public testing::Test {
 protected:
  ProgramTest() : descriptors_(OpenDescriptors()) {}
  void TearDown() override {
    EndPrograms();
    EXPECT_EQ(scheduler_.live(), 0u);
    handlers_.clear();
    EXPECT_EQ(OpenDescriptors(), descriptors_) << "a descriptor was left open";
  }

  // Make() compiles `source`, a C program unless `name` ends in .cpp, and returns the module's
  // path.
  std::string Make(const std::string& name, const std::string& source,
                   std::vector<std::string> flags = {}) {
    setenv("CC", COGI_CC, 1);
    setenv("CXX", COGI_CXX, 1);
    std::vector<std::string> args = {folder_.Write(name, source), "-o", folder_ / (name + ".cgi"),
                                     "-O1"};
    args.insert(args.end(), flags.begin(), flags.end());
    EXPECT_EQ(RunCompile(args), 0) << name;
    return folder_ / (name + ".cgi");
  }

  cgi::Handler* Load(const std::string& path, ProgramOptions options = {}) {
    options.log = [this](const cgi::Request& request, std::string_view line, ProgramLine) {
      for (const auto& exchange : exchanges_)
        if (&exchange->request == &request) exchange->log.emplace_back(line);
    };
    std::string error;
    std::unique_ptr<cgi::Handler> handler = MakeProgramHandler(path, std::move(options), &error);
    EXPECT_NE(handler, nullptr) << error;
    handlers_.push_back(std::move(handler));
    return handlers_.back().get();
  }

  // Start() begins a request; Finish() runs all that were begun to their ends.
  Exchange& Start(cgi::Handler* handler, const std::string& query = "",
                  const std::string& body = "") {
    Exchange* exchange = exchanges_.emplace_back(std::make_unique<Exchange>()).get();
    exchange->request.variables = {{"QUERY_STRING", query},
                                   {"REQUEST_METHOD", body.empty() ? "GET" : "POST"},
                                   {"CONTENT_LENGTH", std::to_string(body.size())}};
    exchange->request.body = body;
    exchange->response.Begin();
    exchange->coroutine = scheduler_.Spawn([handler, exchange] {
      handler->Serve(exchange->request, exchange->response);
      exchange->response.Complete();
      exchange->done = true;
    });
    return *exchange;
  }
  virtual void Finish() { scheduler_.Run(); }
  // EndPrograms() is what a worker does at its end.
  void EndPrograms() {
    scheduler_.Spawn([this] {
      for (const auto& handler : handlers_)
        if (handler != nullptr) handler->End(coroutine::After(std::chrono::seconds(5)));
    });
    scheduler_.Run();
  }
  Exchange& Ask(cgi::Handler* handler, const std::string& query = "",
                const std::string& body = "") {
    Exchange& exchange = Start(handler, query, body);
    Finish();
    return exchange;
  }

  static size_t OpenDescriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
      ++count;
    return count;
  }

  Scratch folder_;
  coroutine::Scheduler scheduler_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<std::unique_ptr<cgi::Handler>> handlers_;
  size_t descriptors_;  // that are open when the test begins, and shall be at its end
};

// A C program that prints a header and then runs `statements`.
inline std::string CProgram(const std::string& statements, const std::string& before = "") {
  return "#define _GNU_SOURCE\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
         "#include <unistd.h>\n#include <fcntl.h>\n#include <errno.h>\n#include <signal.h>\n" +
         before + "\nint main(void) {\n  printf(\"Content-Type: text/plain\\n\\n\");\n" +
         statements + "\n  return 0;\n}\n";
}

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_PROGRAM_EXCHANGE_H_
