// The isolation that the whole form stands for: every answer is that of a process that has just
// started.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <random>

#include "tests/server/program/exchange.h"

namespace cogi::server {
namespace {

const std::string kPrograms = COGI_PROGRAMS;

// What the same source answers as an ordinary process.
struct Answer {
  std::string output;
  int status;
};
Answer AsAProcess(const std::string& name, const std::string& query, const std::string& body) {
  const std::string command = "printf '" + body + "' | env -i QUERY_STRING='" + query + "' '" +
                              kPrograms + "/plain/" + name + "' 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  Answer answer;
  std::array<char, 4096> buffer;
  while (const size_t got = fread(buffer.data(), 1, buffer.size(), pipe))
    answer.output.append(buffer.data(), got);
  answer.status = pclose(pipe);
  const size_t head = answer.output.find("\n\n");
  answer.output.erase(0, head == std::string::npos ? answer.output.size() : head + 2);
  return answer;
}

struct Case {
  std::string program, query, body;
  cgi::Handler* handler;
  std::string expected;  // "": an error page
};

class ProgramIsolation : public ProgramTest {
 protected:
  void AddCase(const std::string& program, const std::string& query, const std::string& body = "") {
    cgi::Handler*& handler = by_name_[program];
    if (handler == nullptr) handler = Load(kPrograms + "/" + program + ".cgi", options_);
    // The wait changes nothing in the answer.
    cases_.push_back({program, query, body, handler, AsAProcess(program, query, body).output});
  }

  void AddAllCases() {
    for (int n = 0; n < 12; ++n) {
      const std::string number = "n=" + std::to_string(n);
      AddCase("counters", number + "&mode=return");
      AddCase("counters", number + "&mode=exit");
      AddCase("counters", number + "&mode=bye");
      AddCase("containers", number);
    }
    AddCase("containers", "throw=1");
    AddCase("own_getline", "", "one\\ntwo\\nthree three\\n4\\n");
    AddCase("own_getline", "", "no end of line");
  }

  // Asks `count` requests, `at_once` at a time, with random waits in their middle.
  void AskAll(int count, int at_once) {
    std::mt19937 random(7);
    int left = count;
    int wrong = 0;
    for (int i = 0; i < at_once; ++i) {
      scheduler_.Spawn(
          [&, this] {
            while (left > 0) {
              --left;
              const Case& each = cases_[random() % cases_.size()];
              Exchange exchange;
              exchange.request.variables["QUERY_STRING"] =
                  each.query + "&wait=" + std::to_string(random() % 4);
              for (size_t at = 0; at < each.body.size(); ++at) {
                if (each.body.compare(at, 2, "\\n") == 0)
                  ++at, exchange.request.body += '\n';
                else
                  exchange.request.body += each.body[at];
              }
              exchange.request.piece = 1 + random() % 20;
              exchange.response.Begin();
              each.handler->Serve(exchange.request, exchange.response);
              exchange.response.Complete();
              const bool right = each.expected.empty()
                                     ? exchange.response.sent_status == 500
                                     : exchange.response.sent_status == 200 &&
                                           exchange.response.sent == each.expected;
              if (!right && ++wrong <= 3)
                ADD_FAILURE() << each.program << "?" << each.query << " answered "
                              << exchange.response.sent_status << " " << exchange.response.sent
                              << "\ninstead of " << each.expected;
            }
          },
          {.stack_mode = caller_stack_});
    }
    Finish();
    EXPECT_EQ(wrong, 0);
  }

  ProgramOptions options_;
  coroutine::StackMode caller_stack_ = coroutine::StackMode::kShared;
  std::map<std::string, cgi::Handler*> by_name_;
  std::vector<Case> cases_;
};

TEST_F(ProgramIsolation, TenThousandInterleavedRequestsAnswerAsFreshProcesses) {
  // The requests lie on their callers' stacks; those stay where they are.
  caller_stack_ = coroutine::StackMode::kPrivate;
  AddAllCases();
  AskAll(10'000, 500);
}

TEST_F(ProgramIsolation, HoldsOnSharedStacks) {
  AddAllCases();
  AskAll(2'000, 200);
}

TEST_F(ProgramIsolation, HoldsOnStacksOfTheProgramsOwn) {
  options_.stack_mode = coroutine::StackMode::kPrivate;
  options_.stack_size = 128 << 10;
  AddAllCases();
  AskAll(1'000, 100);
}

}  // namespace
}  // namespace cogi::server
