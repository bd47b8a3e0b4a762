// libfcgi programs that start threads, which accept and answer requests of their instance.
#include <gtest/gtest.h>
#include <pthread.h>

#include "tests/server/program/libfcgi_program.h"

namespace cogi::server {
namespace {

using LibfcgiThreads = LibfcgiTest;

TEST_F(LibfcgiThreads, ThreadsAcceptAndAnswer) {
  const std::string source = R"(
    #include <fcgiapp.h>
    #include <pthread.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    static int counts[4];
    static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;
    static void* Work(void* argument) {
      FCGX_Request request;
      long number = (long)argument;
      FCGX_InitRequest(&request, 0, 0);
      for (;;) {
        pthread_mutex_lock(&accepting);
        int result = FCGX_Accept_r(&request);
        pthread_mutex_unlock(&accepting);
        if (result < 0) return NULL;
        char body[10001];
        int size = FCGX_GetStr(body, sizeof body, request.in);
        FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\n");
        FCGX_FFlush(request.out);
        usleep(2000);
        FCGX_PutStr(body, size, request.out);
        ++counts[number];
        FCGX_FPrintF(request.out, " %s", FCGX_GetParam("QUERY_STRING", request.envp));
        FCGX_Finish_r(&request);
      }
    }
    int main(void) {
      pthread_t threads[4];
      FCGX_Init();
      for (long i = 1; i < 4; ++i) pthread_create(&threads[i], NULL, Work, (void*)i);
      END
      return 0;
    })";
  for (const char* end :
       {"Work(0); for (int i = 1; i < 4; ++i) pthread_join(threads[i], NULL);",
        "for (int i = 1; i < 4; ++i) pthread_join(threads[i], NULL);", "pthread_exit(NULL);"}) {
    std::string text = source;
    text.replace(text.find("END"), 3, end);
    static int number = 0;
    auto* handler = LoadLoop("threads" + std::to_string(++number) + ".c", text, {}, {"-pthread"});
    std::vector<Exchange*> asked;
    for (int i = 0; i < 40; ++i)
      asked.push_back(
          &Start(handler, std::to_string(i), std::string(static_cast<size_t>(i) * 250 + 1, 'b')));
    Finish();
    for (int i = 0; i < 40; ++i)
      EXPECT_EQ(asked[i]->response.sent,
                std::string(static_cast<size_t>(i) * 250 + 1, 'b') + " " + std::to_string(i));
    EXPECT_EQ(InstancesOf(handler), 1u);
    EndPrograms();
    EXPECT_EQ(InstancesOf(handler), 0u) << end;
  }
}

// Four threads that run `body` for each request `r`; main() ends with `main_end`.
std::string FourThreads(const std::string& body, const std::string& main_end) {
  return R"(
    #include <assert.h>
    #include <fcgiapp.h>
    #include <pthread.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    #include <sys/wait.h>
    #define QUERY FCGX_GetParam("QUERY_STRING", r.envp)
    static void* Work(void* argument) {
      FCGX_Request r;
      (void)argument;
      FCGX_InitRequest(&r, 0, 0);
      while (FCGX_Accept_r(&r) == 0) {
        FCGX_FPrintF(r.out, "Content-Type: text/plain\r\n\r\n");)" +
         body + R"(
        FCGX_Finish_r(&r);
      }
      return NULL;
    }
    static void Bye(void) { write(2, "bye\n", 4); }
    int main(void) {
      pthread_t threads[4];
      FCGX_Init();
      atexit(Bye);
      for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, Work, NULL);)" +
         main_end + "return 0; }";
}

TEST_F(LibfcgiThreads, ExitInAThreadEndsTheInstanceAndNothingElse) {
  const std::string body =
      "if (strcmp(QUERY, \"slow\") == 0) usleep(100000);"
      "if (strcmp(QUERY, \"exit\") == 0) { usleep(20000); exit(3); }"
      "if (strcmp(QUERY, \"_exit\") == 0) { usleep(20000); _exit(3); }"
      "if (strcmp(QUERY, \"abort\") == 0) { usleep(20000); abort(); }"
      "if (strcmp(QUERY, \"assert\") == 0) { usleep(20000); assert(!\"kept\"); }"
      "if (strcmp(QUERY, \"fork\") == 0) { int status = 0; pid_t child = fork();"
      "  if (child == 0) _exit(7); pid_t got = waitpid(child, &status, 0);"
      "  FCGX_FPrintF(r.out, \"%d %d \", got == child, status); }"
      "FCGX_PutS(QUERY, r.out);";
  int number = 0;
  for (const std::string end : {"for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);",
                                "pthread_exit(NULL);", "Work(NULL);"}) {
    // What main() itself does to its process by other ways than exit() is done at once.
    const bool main_works = end == "Work(NULL);";
    auto* handler = LoadLoop("exit_thread" + std::to_string(++number) + ".c",
                             FourThreads(body, end), {}, {"-pthread"});
    EXPECT_EQ(Ask(handler, "first").response.sent, "first");
    for (const std::string how : {"exit", "_exit", "abort", "assert"}) {
      if (main_works && how != "exit") continue;
      Exchange& slow = Start(handler, "slow");
      Exchange& bad = Start(handler, how);
      Finish();
      EXPECT_EQ(bad.response.sent_status, 500) << how;
      EXPECT_EQ(slow.response.sent, "slow") << how;
      EXPECT_EQ(Ask(handler, "again").response.sent, "again") << how;
    }
    // Each acceptor gets its turn, main() with them: the end of a child is its own in each.
    for (int round = 0; round < 10; ++round)
      EXPECT_EQ(Ask(handler, "fork").response.sent, "1 1792 fork") << end;
    EndPrograms();
    EXPECT_EQ(InstancesOf(handler), 0u) << end;
    EXPECT_GE(std::count(lines_.begin(), lines_.end(), "bye"), 1) << "exit handlers run";
  }
}

// libc gives the memory of a thread that has ended to the next one, values of keys and all, if the
// thread has not taken them away.
TEST_F(LibfcgiThreads, AThreadThatCallsExitLeavesNoValuesOfKeysToTheNext) {
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  const std::string body =
      "pthread_key_t key = atoi(QUERY + 1);"
      "if (*QUERY == 'x') { pthread_setspecific(key, &key); exit(3); }"
      "usleep(5000); FCGX_FPrintF(r.out, \"%d\", pthread_getspecific(key) == NULL);";
  auto* handler =
      LoadLoop("exit_keys.c",
               FourThreads(body, "for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);"), {},
               {"-pthread"});
  const std::string number = std::to_string(key);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Ask(handler, "x" + number).response.sent_status, 500);
    std::vector<Exchange*> asked;
    for (int i = 0; i < 4; ++i) asked.push_back(&Start(handler, "?" + number));
    Finish();
    for (const Exchange* each : asked) EXPECT_EQ(each->response.sent, "1");
  }
  EndPrograms();
  pthread_key_delete(key);
}

// LeakSanitizer finds what is not.
TEST_F(LibfcgiThreads, ARequestThatNobodyFinishesIsFreedWithTheInstance) {
  auto* handler = LoadLoop(
      "never.c",
      FourThreads("if (strcmp(QUERY, \"never\") == 0) return NULL; FCGX_PutS(QUERY, r.out);",
                  "for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);"),
      {}, {"-pthread"});
  for (int round = 0; round < 2; ++round) {
    Exchange& never = Start(handler, "never");
    scheduler_.Spawn([&] {
      coroutine::SleepFor(std::chrono::milliseconds(50));
      coroutine::Cancel(*never.coroutine);
    });
    Finish();
    EXPECT_EQ(never.response.sent_status, 504);
    EXPECT_EQ(Ask(handler, "other").response.sent, "other");
  }
  EndPrograms();
  EXPECT_EQ(InstancesOf(handler), 0u);
}

TEST_F(LibfcgiThreads, ThreadsOfC11MayAccept) {
  auto* handler = LoadLoop("c11.c", R"(
    #include <fcgiapp.h>
    #include <threads.h>
    #include <unistd.h>
    static int Work(void* argument) {
      FCGX_Request r;
      FCGX_InitRequest(&r, 0, 0);
      while (FCGX_Accept_r(&r) == 0) {
        usleep(5000);
        FCGX_FPrintF(r.out, "Content-Type: text/plain\r\n\r\n%s",
                     FCGX_GetParam("QUERY_STRING", r.envp));
        FCGX_Finish_r(&r);
      }
      return (int)(long)argument;
    }
    int main(void) {
      thrd_t threads[4];
      int sum = 0, result = 0;
      FCGX_Init();
      for (long i = 0; i < 4; ++i)
        if (thrd_create(&threads[i], Work, (void*)(i + 1)) != thrd_success) return 1;
      for (int i = 0; i < 4; ++i)
        if (thrd_join(threads[i], &result) == thrd_success) sum += result;
      if (sum == 10) write(2, "ten\n", 4);
    })",
                           {}, {"-pthread", "-std=c11", "-D_GNU_SOURCE"});
  std::vector<Exchange*> asked;
  for (int i = 0; i < 40; ++i) asked.push_back(&Start(handler, std::to_string(i)));
  Finish();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(asked[i]->response.sent, std::to_string(i));
  EXPECT_EQ(InstancesOf(handler), 1u);
  EndPrograms();
  EXPECT_EQ(std::count(lines_.begin(), lines_.end(), "ten"), 1) << "main() has the results";
}

TEST_F(LibfcgiThreads, OneThreadMayAcceptWhatAnotherFinishes) {
  auto* handler = LoadLoop("hand_over.cpp", R"(
    #include <fcgiapp.h>
    #include <thread>
    #include <unistd.h>
    static void Answer(FCGX_Request* r) {
      char body[20001];
      const int size = FCGX_GetStr(body, sizeof body, r->in);
      FCGX_PutS("Content-Type: text/plain\r\n\r\n", r->out);
      usleep(5000);
      FCGX_PutStr(body, size, r->out);
      FCGX_FPrintF(r->out, " %s", FCGX_GetParam("QUERY_STRING", r->envp));
      FCGX_Finish_r(r);
      delete r;
    }
    int main() {
      FCGX_Init();
      for (;;) {
        auto* r = new FCGX_Request;
        FCGX_InitRequest(r, 0, 0);
        if (FCGX_Accept_r(r) != 0) break;
        std::thread(Answer, r).detach();
      }
    })",
                           {}, {"-pthread", "-std=c++20"});
  for (int round = 0; round < 3; ++round) {
    std::vector<Exchange*> asked;
    for (int i = 0; i < 20; ++i)
      asked.push_back(&Start(handler, std::to_string(i), std::string(1000 * i + 1, 'b')));
    Finish();
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(asked[i]->response.sent, std::string(1000 * i + 1, 'b') + " " + std::to_string(i));
  }
  EXPECT_EQ(InstancesOf(handler), 1u);
}

TEST_F(LibfcgiThreads, ThreadsThatALibraryHasStartedMayAccept) {
  auto* handler = LoadLoop("openmp.cpp", R"(
    #include <fcgiapp.h>
    #include <string>
    #include <thread>
    #include <unistd.h>
    int main() {
      FCGX_Init();
      std::thread([] {  // which waits for them, as the scheduler's thread must not
        #pragma omp parallel num_threads(4)
        {
          FCGX_Request r;
          FCGX_InitRequest(&r, 0, 0);
          while (FCGX_Accept_r(&r) == 0) {
            FCGX_PutS("Content-Type: text/plain\r\n\r\n", r.out);
            usleep(2000);
            FCGX_PutS(std::string(FCGX_GetParam("QUERY_STRING", r.envp)).c_str(), r.out);
            FCGX_Finish_r(&r);
          }
        }
      }).join();
    })",
                           {}, {"-pthread", "-std=c++20", "-fopenmp"});
  std::vector<Exchange*> asked;
  for (int i = 0; i < 40; ++i) asked.push_back(&Start(handler, std::to_string(i)));
  Finish();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(asked[i]->response.sent, std::to_string(i));
  EXPECT_EQ(InstancesOf(handler), 1u);
  EndPrograms();
  EXPECT_EQ(InstancesOf(handler), 0u);
}

TEST_F(LibfcgiThreads, BlocksMayBeFreedByAThread) {
  auto* handler = LoadLoop("std_thread.cpp", R"(
    #include <fcgiapp.h>
    #include <string>
    #include <thread>
    #include <vector>
    int main() {
      FCGX_Request request;
      FCGX_InitRequest(&request, 0, 0);
      std::vector<std::thread> threads;
      std::string text(1000, 't');
      for (int i = 0; i < 8; ++i) threads.emplace_back([text] { std::string copy = text; });
      while (FCGX_Accept_r(&request) == 0) {
        FCGX_PutS("Content-Type: text/plain\r\n\r\nx", request.out);
        FCGX_Finish_r(&request);
      }
      for (std::thread& thread : threads) thread.join();
    })",
                           {}, {"-pthread", "-std=c++20"});
  EXPECT_EQ(Ask(handler).response.sent, "x");
}

}  // namespace
}  // namespace cogi::server
