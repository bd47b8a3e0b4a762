// libfcgi programs in process: unmodified accept loops, many at once.
#include <gtest/gtest.h>

#include "tests/server/program/libfcgi_program.h"

namespace cogi::server {
namespace {

TEST_F(LibfcgiTest, OneLoopAnswersOneRequestAfterAnother) {
  auto* handler =
      LoadLoop("count.c", Loop("HEAD; FCGX_FPrintF(r.out, \"%d\", ++count);", "static int count;"));
  EXPECT_EQ(Ask(handler).response.sent, "1");
  EXPECT_EQ(Ask(handler).response.sent, "2");
  EXPECT_EQ(Ask(handler).response.sent, "3");
  EXPECT_EQ(InstancesOf(handler), 1u);
}

TEST_F(LibfcgiTest, ManyAtOnceHaveStaticDataOfTheirOwn) {
  auto* handler = LoadLoop(
      "own.c", Loop("snprintf(own, sizeof own, \"%s\", FCGX_GetParam(\"QUERY_STRING\", r.envp));"
                    "for (int i = 0; i < 5; ++i) usleep(1000);"
                    "HEAD; FCGX_FPrintF(r.out, \"%s %d\", own, ++count);",
                    "static char own[64]; static int count;"));
  for (int round = 1; round <= 3; ++round) {
    std::vector<Exchange*> asked;
    for (int i = 0; i < 50; ++i) asked.push_back(&Start(handler, std::to_string(i)));
    Finish();
    for (int i = 0; i < 50; ++i)
      EXPECT_EQ(asked[i]->response.sent, std::to_string(i) + " " + std::to_string(round));
    EXPECT_EQ(InstancesOf(handler), 50u);
  }
}

TEST_F(LibfcgiTest, FcgiStdioProgramsInterleave) {
  auto* handler = LoadLoop("stdio.c", R"(
    #include <fcgi_stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    int main(void) {
      while (FCGI_Accept() >= 0) {
        char body[100] = "";
        size_t size = fread(body, 1, sizeof body - 1, stdin);
        printf("Content-Type: text/plain\r\n\r\n");
        usleep(2000);
        printf("%s %zu ", getenv("QUERY_STRING"), size);
        usleep(1000);
        puts(body);
      }
      return 0;
    })");
  std::vector<Exchange*> asked;
  for (int i = 0; i < 20; ++i)
    asked.push_back(&Start(handler, "q" + std::to_string(i), "body " + std::to_string(i)));
  Finish();
  for (int i = 0; i < 20; ++i) {
    const std::string body = "body " + std::to_string(i);
    EXPECT_EQ(asked[i]->response.sent,
              "q" + std::to_string(i) + " " + std::to_string(body.size()) + " " + body + "\n");
  }
}

TEST_F(LibfcgiTest, FcgxAcceptServesTheSingleRequest) {
  auto* handler = LoadLoop("single.c", R"(
    #include <fcgiapp.h>
    int main(void) {
      FCGX_Stream *in, *out, *err;
      FCGX_ParamArray envp;
      int count = 0;
      while (FCGX_Accept(&in, &out, &err, &envp) >= 0)
        FCGX_FPrintF(out, "Content-Type: text/plain\r\n\r\n%s %d",
                     FCGX_GetParam("QUERY_STRING", envp), ++count);
      return 0;
    })");
  EXPECT_EQ(Ask(handler, "a").response.sent, "a 1");
  EXPECT_EQ(Ask(handler, "b").response.sent, "b 2");
}

TEST_F(LibfcgiTest, IostreamsOverFcgioInterleave) {
  auto* handler = LoadLoop("streams.cpp", R"(
    #include <fcgio.h>
    #include <iostream>
    #include <string>
    #include <unistd.h>
    int main() {
      FCGX_Request request;
      FCGX_Init();
      FCGX_InitRequest(&request, 0, 0);
      std::streambuf* old = std::cout.rdbuf();
      while (FCGX_Accept_r(&request) == 0) {
        fcgi_streambuf in(request.in), out(request.out);
        std::cin.rdbuf(&in);
        std::cout.rdbuf(&out);
        std::string word;
        std::cout << "Content-Type: text/plain\r\n\r\n";
        while (std::cin >> word) {
          usleep(1000);
          std::cout << word << ';';
        }
        std::cin.clear();
      }
      std::cout.rdbuf(old);
    })",
                           {}, {"-lfcgi++", "-std=c++20"});
  std::vector<Exchange*> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(&Start(handler, "", "a b c" + std::to_string(i)));
  Finish();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(asked[i]->response.sent, "a;b;c" + std::to_string(i) + ";");
}

TEST_F(LibfcgiTest, PrintfKnowsAllFormatsAndAnySize) {
  auto* handler = LoadLoop(
      "formats.c",
      Loop("HEAD; FCGX_FPrintF(r.out, \"%zu %jd %td %hhd %5.2f %-4s| %lld %*d\", (size_t)7,"
           " (intmax_t)-8, (ptrdiff_t)9, 300, 1.5, \"ab\", 1LL << 40, 5, 42);"
           "char big[20001]; memset(big, 'x', 20000); big[20000] = 0;"
           "int n = FCGX_FPrintF(r.out, \"[%s]\", big); FCGX_FPrintF(r.out, \"%d\", n);"));
  EXPECT_EQ(Ask(handler).response.sent,
            "7 -8 9 44  1.50 ab  | 1099511627776    42[" + std::string(20000, 'x') + "]20002");
}

TEST_F(LibfcgiTest, BodiesAreReadToTheirEnd) {
  auto* handler =
      LoadLoop("body.c",
               Loop("HEAD; char line[64]; FCGX_GetLine(line, sizeof line, r.in);"
                    "int c = FCGX_GetChar(r.in); FCGX_UnGetChar(c, r.in);"
                    "long sum = 0, n = 0; char part[5000]; int got;"
                    "while ((got = FCGX_GetStr(part, sizeof part, r.in)) > 0)"
                    " for (int i = 0; i < got; ++i) { sum += (unsigned char)part[i]; ++n; }"
                    "FCGX_FPrintF(r.out, \"%s%ld %ld %d\", line, n, sum, FCGX_HasSeenEOF(r.in));"));
  std::string body = "first\n";
  long sum = 0;
  for (int i = 0; i < 300000; ++i) {
    body.push_back(static_cast<char>(i * 7));
    sum += static_cast<unsigned char>(body.back());
  }
  EXPECT_EQ(Ask(handler, "", body).response.sent, "first\n300000 " + std::to_string(sum) + " -1");
  EXPECT_EQ(Ask(handler, "", "only\n").response.sent, "only\n0 0 -1");
}

TEST_F(LibfcgiTest, EachFlushArrivesAtOnce) {
  auto* handler = LoadLoop("flush.c", Loop("HEAD; for (int i = 0; i < 3; ++i) {"
                                           " FCGX_FPrintF(r.out, \"%d\", i);"
                                           " FCGX_FFlush(r.out); usleep(20000); }"));
  Exchange& exchange = Start(handler);
  std::set<std::string> seen;
  scheduler_.RunUntil([&] {
    seen.insert(exchange.response.sent);
    return exchange.done;
  });
  EXPECT_EQ(seen, (std::set<std::string>{"", "0", "01", "012"}));
}

TEST_F(LibfcgiTest, TheLoopEndsAtTheDrainAndTheProgramCleansUp) {
  auto* handler = LoadLoop("end.c", Loop("HEAD; FCGX_PutS(\"x\", r.out);", "",
                                         "fprintf(stderr, \"the loop has ended\\n\");"));
  EXPECT_EQ(Ask(handler).response.sent, "x");
  EXPECT_TRUE(lines_.empty());
  EndPrograms();
  EXPECT_EQ(lines_, std::vector<std::string>{"the loop has ended"});
}

TEST_F(LibfcgiTest, ARequestInFlightAtTheDrainIsFinishedFirst) {
  auto* handler = LoadLoop("busy.c", Loop("HEAD; usleep(30000); FCGX_PutS(\"done\", r.out);"));
  Exchange& exchange = Start(handler);
  EndPrograms();
  EXPECT_EQ(exchange.response.sent, "done");
}

TEST_F(LibfcgiTest, ExitInTheMiddleOfARequestCompletesIt) {
  auto* handler = LoadLoop("exits.c", Loop("HEAD; FCGX_PutS(\"last words\", r.out); exit(0);"));
  EXPECT_EQ(Ask(handler).response.sent, "last words");
  EXPECT_EQ(Ask(handler).response.sent, "last words");
  EXPECT_EQ(InstancesOf(handler), 0u);
}

TEST_F(LibfcgiTest, AbortFailsItsOwnRequestOnly) {
  auto* handler = LoadLoop(
      "aborts.c", Loop("usleep(1000); if (strcmp(FCGX_GetParam(\"QUERY_STRING\", r.envp), \"die\")"
                       " == 0) abort(); usleep(3000); HEAD; FCGX_PutS(\"fine\", r.out);"));
  Exchange& fine = Start(handler);
  Exchange& bad = Start(handler, "die");
  Finish();
  EXPECT_EQ(fine.response.sent, "fine");
  EXPECT_EQ(bad.response.sent_status, 500);
  EXPECT_EQ(Ask(handler).response.sent, "fine");
}

TEST_F(LibfcgiTest, AProgramThatEndsBeforeItAcceptsFailsItsRequests) {
  auto* handler = LoadLoop("early.c", Loop("",
                                           "__attribute__((constructor)) static void Early(void)"
                                           " { fprintf(stderr, \"no database\\n\"); exit(3); }"));
  Exchange& first = Start(handler);
  Exchange& second = Start(handler);
  Finish();
  EXPECT_EQ(first.response.sent_status, 500);
  EXPECT_EQ(second.response.sent_status, 500);
  EXPECT_EQ(lines_, (std::vector<std::string>{"no database", "no database"}));
}

TEST_F(LibfcgiTest, NoMoreInstancesThanAllowed) {
  ProgramOptions options;
  options.max_running = 2;
  auto* handler =
      LoadLoop("few.c", Loop("HEAD; usleep(2000); FCGX_PutS(\"x\", r.out);"), std::move(options));
  std::vector<Exchange*> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(&Start(handler));
  Finish();
  for (Exchange* exchange : asked) EXPECT_EQ(exchange->response.sent, "x");
  EXPECT_EQ(InstancesOf(handler), 2u);
}

TEST_F(LibfcgiTest, IdleInstancesEndTheLastOneApart) {
  ProgramOptions options;
  options.max_idle = std::chrono::milliseconds(20);
  auto* handler =
      LoadLoop("idle.c", Loop("HEAD; usleep(10000); FCGX_PutS(\"x\", r.out);"), std::move(options));
  for (int i = 0; i < 5; ++i) Start(handler);
  Finish();
  EXPECT_GT(InstancesOf(handler), 1u);
  const auto limit = coroutine::After(std::chrono::seconds(10));
  scheduler_.Spawn([&] {
    while (InstancesOf(handler) > 1 && coroutine::Clock::now() < limit)
      coroutine::SleepFor(std::chrono::milliseconds(5));
    coroutine::SleepFor(std::chrono::milliseconds(60));
  });
  scheduler_.RunUntil([&] { return scheduler_.live() == InstancesOf(handler); });
  EXPECT_EQ(InstancesOf(handler), 1u);
  EXPECT_EQ(Ask(handler).response.sent, "x");
}

TEST_F(LibfcgiTest, ACancelledRequestEndsItsInstanceAndNoOther) {
  auto* handler =
      LoadLoop("slow.c",
               Loop("if (strcmp(FCGX_GetParam(\"QUERY_STRING\", r.envp), \"long\") == 0) sleep(60);"
                    "else usleep(20000); HEAD; FCGX_FPrintF(r.out, \"%d\", ++count);",
                    "static int count;"));
  EXPECT_EQ(Ask(handler).response.sent, "1");
  Exchange& slow = Start(handler, "long");
  Exchange& other = Start(handler);
  coroutine::Coroutine* victim = nullptr;
  scheduler_.Spawn([&] {
    coroutine::SleepFor(std::chrono::milliseconds(5));
    coroutine::Cancel(*victim);
  });
  victim = slow.coroutine;
  Finish();
  EXPECT_EQ(slow.response.sent_status, 504);
  EXPECT_EQ(other.response.sent, "1");
  EXPECT_EQ(Ask(handler).response.sent, "2");
  EXPECT_EQ(InstancesOf(handler), 1u);
}

TEST_F(LibfcgiTest, AClientThatHasGoneDoesNotEndTheLoop) {
  auto* handler = LoadLoop(
      "gone.c", Loop("HEAD; int rest = 0; for (int i = 0; i < 100; ++i)"
                     " rest = FCGX_FPrintF(r.out, \"%4096d\", i); FCGX_FFlush(r.out); last = rest;"
                     "FCGX_FPrintF(r.err, \"%d %d\\n\", ++count, FCGX_GetError(r.out) != 0);",
                     "static int count, last;"));
  Exchange& gone = Start(handler);
  gone.response.gone = true;
  Finish();
  EXPECT_EQ(gone.log, std::vector<std::string>{"1 1"});
  EXPECT_EQ(Ask(handler).log, std::vector<std::string>{"2 0"});
}

TEST_F(LibfcgiTest, StderrOfTheProgramIsItsRequestsWhileItAnswersOne) {
  auto* handler = LoadLoop(
      "errors.c", Loop("HEAD; fprintf(stderr, \"plain\\n\"); FCGX_PutS(\"stream\\n\", r.err);"));
  EXPECT_EQ(Ask(handler).log, (std::vector<std::string>{"plain", "stream"}));
}

// Its descriptor 0 is what a listening socket is to a FastCGI process: nothing that could be read.
TEST_F(LibfcgiTest, ChildrenReadNothingAndEndWithTheirOwnStatus) {
  auto* handler = LoadLoop(
      "children.c",
      Loop("int status = 0; char byte; pid_t child = fork();"
           "if (child == 0) _exit(read(0, &byte, 1) == 0 ? 7 : 8);"
           "if (child < 0 || waitpid(child, &status, 0) != child) status = -1;"
           "FILE* shell = popen(\"wc -c; echo said\", \"r\");"
           "char line[20] = \"\"; fgets(line, sizeof line, shell); pclose(shell);"
           "HEAD; FCGX_FPrintF(r.out, \"%d %d %d\", status, system(\"exit 3\"), atoi(line));",
           "#include <sys/wait.h>"));
  for (int round = 0; round < 3; ++round) EXPECT_EQ(Ask(handler, "").response.sent, "1792 768 0");
}

TEST_F(LibfcgiTest, AChangedFileRetiresTheOldInstances) {
  auto* handler = LoadLoop("version.c", Loop("HEAD; FCGX_PutS(\"old\", r.out);"));
  EXPECT_EQ(Ask(handler).response.sent, "old");
  Make("version.c", Loop("HEAD; FCGX_PutS(\"new version\", r.out);"), {"-lfcgi"});
  scheduler_.Spawn([] { coroutine::SleepFor(std::chrono::milliseconds(1100)); });
  scheduler_.RunUntil([&] { return scheduler_.live() == InstancesOf(handler); });
  EXPECT_EQ(Ask(handler).response.sent, "new version");
  EXPECT_EQ(InstancesOf(handler), 1u);
}

TEST_F(LibfcgiTest, TheRolesAreThoseOfTheFrontEnd) {
  auto* handler = LoadLoop(
      "roles.c",
      Loop("HEAD; char data[100]; int n = FCGX_GetStr(data, sizeof data, r.in);"
           "FCGX_FPrintF(r.out, \"%d %s %d\", r.role, FCGX_GetParam(\"FCGI_ROLE\", r.envp), n);"
           "int result = FCGX_StartFilterData(r.in); FCGX_FPrintF(r.out, \" %d\", result);"
           "if (result == 0) { n = FCGX_GetStr(data, sizeof data, r.in);"
           " FCGX_FPrintF(r.out, \" %.*s\", n, data); }"));
  EXPECT_EQ(Ask(handler, "", "abc").response.sent, "1 RESPONDER 3 -1");
  for (const auto& [role, body, expected] :
       {std::tuple{"AUTHORIZER", "", "2 AUTHORIZER 0 -1"},
        std::tuple{"FILTER", "abcd", "3 FILTER 4 0 the file"}}) {
    Exchange& exchange = Start(handler, "", body);
    exchange.request.variables["FCGI_ROLE"] = role;
    exchange.request.data = "the file";
    Finish();
    EXPECT_EQ(exchange.response.sent, expected);
  }
}

TEST_F(LibfcgiTest, ASignalReachesAProgramThatWaitsForARequest) {
  auto* handler =
      LoadLoop("alarm.c", Loop("HEAD; FCGX_FPrintF(r.out, \"%d\", (int)rang); ualarm(5000, 0);",
                               "static volatile sig_atomic_t rang;"
                               "static void Ring(int s) { (void)s; ++rang; }"
                               "__attribute__((constructor)) static void Set(void)"
                               " { signal(SIGALRM, Ring); }"));
  EXPECT_EQ(Ask(handler).response.sent, "0");
  scheduler_.Spawn([] { coroutine::SleepFor(std::chrono::milliseconds(60)); });
  scheduler_.RunUntil([&] { return scheduler_.live() == InstancesOf(handler); });
  EXPECT_EQ(Ask(handler).response.sent, "1");
}

TEST_F(LibfcgiTest, AProgramThatOpensASocketOfItsOwnIsAskedAsWell) {
  auto* handler = LoadLoop("opens.c", R"(
    #include <fcgiapp.h>
    #include <unistd.h>
    int main(void) {
      FCGX_Request request;
      if (FCGX_IsCGI()) return 1;
      FCGX_Init();
      int fd = FCGX_OpenSocket(":9000", 10);
      if (fd < 0 || FCGX_InitRequest(&request, fd, 0) != 0) return 2;
      while (FCGX_Accept_r(&request) >= 0) {
        FCGX_PutS("Content-Type: text/plain\r\n\r\nx", request.out);
        FCGX_Finish_r(&request);
      }
      close(fd);
      return 0;
    })");
  EXPECT_EQ(Ask(handler).response.sent, "x");
}

}  // namespace
}  // namespace cogi::server
