// What a program finds where a process would have it, and what is left of it at its end.
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>

#include <csignal>
#include <fstream>

#include "hooks/program_heap.h"
#include "tests/server/program/exchange.h"

namespace cogi::server {
namespace {

using ProgramProcess = ProgramTest;

size_t ResidentBytes() {
  size_t total = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(ProgramProcess, KeepsPrintfWriteAndCoutInOrder) {
  cgi::Handler* handler = Load(Make("order.cpp", R"(
      #include <cstdio>
      #include <iostream>
      #include <unistd.h>
      int main() {
        std::cout << "Content-Type: text/plain\n\n";
        std::cout << "one " << 1 << '\n';
        std::printf("two\n");
        std::fflush(stdout);
        if (write(1, "three\n", 6) != 6) return 1;
        std::cout << "four" << std::endl;
        dprintf(1, "five\n");
        std::puts("six");
        std::cerr << "to the log" << std::endl;
      })"));
  const Exchange& exchange = Ask(handler);
  EXPECT_EQ(exchange.response.sent, "one 1\ntwo\nthree\nfour\nfive\nsix\n");
  EXPECT_EQ(exchange.log, std::vector<std::string>{"to the log"});
}

TEST_F(ProgramProcess, GetsExactlyItsBodyHoweverItReads) {
  const std::string body = "first line\nsecond " + std::string(20000, 'x') + "\nthird";
  const std::string with_fread = Make("fread.c", CProgram(R"(
      static char b[65536]; size_t n = fread(b, 1, sizeof b, stdin);
      printf("%zu %d %.10s", n, feof(stdin) != 0, b);)"));
  const std::string with_read = Make("read.c", CProgram(R"(
      static char b[65536]; size_t n = 0; ssize_t got;
      while ((got = read(0, b + n, sizeof b - n)) > 0) n += got;
      printf("%zu %d %.10s", n, got == 0, b);)"));
  const std::string with_cin = Make("cin.cpp", R"(
      #include <iostream>
      #include <string>
      int main() {
        std::string all, line;
        while (std::getline(std::cin, line)) all += all.empty() ? line : "\n" + line;
        std::cout << "Content-Type: text/plain\n\n" << all.size() << ' ' << std::cin.eof() << ' '
                  << all.substr(0, 10);
      })");
  for (const std::string& path : {with_fread, with_read, with_cin}) {
    cgi::Handler* handler = Load(path);
    for (int i = 0; i < 3; ++i) Start(handler, "", body).request.piece = 100 + i;
  }
  Finish();
  for (const auto& exchange : exchanges_)
    EXPECT_EQ(exchange->response.sent, std::to_string(body.size()) + " 1 first line");
}

TEST_F(ProgramProcess, FindsAnEmptyInputAtItsEnd) {
  cgi::Handler* handler = Load(Make("empty.c", CProgram("printf(\"%d\", getchar());")));
  EXPECT_EQ(Ask(handler).response.sent, "-1");
}

TEST_F(ProgramProcess, HasItsOwnEnvironment) {
  cgi::Handler* handler = Load(Make("environment.c", CProgram(R"(
      char mine[64];
      printf("%s,", getenv("MINE") ? getenv("MINE") : "none");
      setenv("MINE", getenv("QUERY_STRING"), 1);
      snprintf(mine, sizeof mine, "PUT=%s", getenv("QUERY_STRING"));
      putenv(mine);
      unsetenv("REQUEST_METHOD");
      for (int i = 0; i < 100; i++) { char n[16]; sprintf(n, "V%d", i); setenv(n, "v", 0); }
      usleep(1000);
      printf("%s,%s,%d,%s", getenv("MINE"), getenv("PUT"), getenv("REQUEST_METHOD") == NULL, getenv("V99"));
      clearenv();
      usleep(1000);
      printf(",%d,", getenv("PATH") == NULL);
      setenv("AGAIN", "again", 1);
      printf("%s", getenv("AGAIN"));)")));
  for (int i = 0; i < 20; ++i) Start(handler, std::to_string(i));
  Finish();
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    EXPECT_EQ(exchanges_[i]->response.sent, "none," + n + "," + n + ",1,v,1,again");
  }
  EXPECT_EQ(getenv("MINE"), nullptr);
  EXPECT_EQ(getenv("AGAIN"), nullptr);
}

TEST_F(ProgramProcess, FlushesWhatItLeftOpenAndClosesIt) {
  cgi::Handler* handler = Load(Make("left_open.c", CProgram(R"(
      FILE* file = fopen("left", "w");
      fprintf(file, "kept");
      int fd = open("left", O_RDONLY);
      printf("%d", fd > 2);)")));
  EXPECT_EQ(Ask(handler).response.sent, "1");
  EXPECT_EQ(ReadFile(folder_ / "left"), "kept");
}

TEST_F(ProgramProcess, SeesNoDescriptorButItsOwn) {
  cgi::Handler* handler = Load(Make("descriptors.c", CProgram(R"(
      int open_ones = 0;
      for (int fd = 3; fd < 64; fd++) open_ones += fcntl(fd, F_GETFD) >= 0;
      int fd = open("/dev/null", O_RDONLY);
      char c;
      printf("%d %d %d", open_ones, fcntl(fd, F_GETFD) >= 0, (int)read(fd, &c, 1));)")));
  EXPECT_EQ(Ask(handler).response.sent, "0 1 0");
}

TEST_F(ProgramProcess, MayPutFilesInThePlaceOfItsStandardDescriptors) {
  cgi::Handler* handler = Load(Make("dup2.c", CProgram(R"(
      fflush(stdout);
      int saved = dup(1);
      int fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(fd, 1);
      close(fd);
      printf("into the file");
      fflush(stdout);
      dup2(saved, 1);
      close(saved);
      printf("back");
      freopen("out", "r", stdin);
      char line[64];
      printf(" %s %d", fgets(line, sizeof line, stdin), fileno(stdin));
      close(0);
      printf(" %d", open("/dev/null", O_RDONLY));)")));
  const Exchange& exchange = Ask(handler);
  EXPECT_EQ(exchange.response.sent, "back into the file 0 0");
  EXPECT_EQ(ReadFile(folder_ / "out"), "into the file");
}

TEST_F(ProgramProcess, HasItsOwnWorkingDirectoryAndUmask) {
  folder_.Write("a/here", "a");
  folder_.Write("b/here", "b");
  cgi::Handler* handler = Load(Make("directory.c", CProgram(R"(
      char start[4096], path[4096], c = '?';
      getcwd(start, sizeof start);
      chdir(getenv("QUERY_STRING"));
      umask(077);
      usleep(2000);
      int fd = open("here", O_RDONLY);
      read(fd, &c, 1);
      close(open("made", O_WRONLY | O_CREAT, 0666));
      printf("%c %s", c, strcmp(getcwd(path, sizeof path) + strlen(start), "/a") == 0 ? "in a" : "in b");)",
                                                            "#include <sys/stat.h>")));
  const std::filesystem::path before = std::filesystem::current_path();
  for (int i = 0; i < 20; ++i) Start(handler, i % 2 == 0 ? "a" : "b");
  Finish();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(exchanges_[i]->response.sent, i % 2 == 0 ? "a in a" : "b in b");
  EXPECT_EQ(std::filesystem::current_path(), before);
  EXPECT_EQ(std::filesystem::status(folder_ / "a/made").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(ProgramProcess, LeavesNoMemoryBehind) {
  if (!hooks::HeapTracking()) GTEST_SKIP() << "a sanitizer has its own malloc";
  cgi::Handler* handler = Load(Make("leak.cpp", R"(
      #include <cstdio>
      #include <cstdlib>
      #include <cstring>
      #include <string>
      #include <vector>
      int main() {
        std::printf("Content-Type: text/plain\n\n");
        char* buffer = static_cast<char*>(std::malloc(50000));
        buffer = static_cast<char*>(std::realloc(buffer, 90000));
        std::memset(buffer, 1, 90000);
        std::string& text = *new std::string(30000, 'x');
        std::vector<std::string*> many;
        for (int i = 0; i < 200; ++i) many.push_back(new std::string(100 + i, 'y'));
        char* copy = strdup(text.c_str());
        std::printf("%zu", text.size() + std::strlen(copy));
        if (many.size() == 200) std::exit(0);
      })"));
  for (int i = 0; i < 100; ++i) Ask(handler);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(Ask(handler).response.sent, "60000");
    exchanges_.clear();
  }
  const size_t after = mallinfo2().uordblks;
  EXPECT_LT(after, before + 500 * 1000) << "of 85 MB that the programs left";
}

TEST_F(ProgramProcess, IsHeldToItsHeap) {
  if (!hooks::HeapTracking()) GTEST_SKIP() << "a sanitizer has its own malloc";
  ProgramOptions options;
  options.max_heap = 1 << 20;
  cgi::Handler* handler = Load(Make("greedy.c", CProgram(R"(
      int blocks = 0;
      while (malloc(10000) != NULL) blocks++;
      printf("%d %d", blocks > 50 && blocks < 110, errno == ENOMEM);)")),
                               std::move(options));
  EXPECT_EQ(Ask(handler).response.sent, "1 1");
  EXPECT_EQ(Ask(handler).response.sent, "1 1");
}

TEST_F(ProgramProcess, EndsByAbortWith500AndNothingElseWithIt) {
  cgi::Handler* handler = Load(Make("abort.c", CProgram(R"(
      usleep(1000);
      if (strcmp(getenv("QUERY_STRING"), "abort") == 0) abort();
      printf("fine");)")));
  Exchange& aborted = Start(handler, "abort");
  Exchange& fine = Start(handler);
  Finish();
  EXPECT_EQ(aborted.response.sent_status, 500);
  EXPECT_EQ(fine.response.sent, "fine");
}

TEST_F(ProgramProcess, EndsByAnUncaughtExceptionWith500) {
  cgi::Handler* handler = Load(Make("throw.cpp", R"(
      #include <cstdio>
      #include <stdexcept>
      int main() { std::printf("Content-Type: text/plain\n\n"); throw std::runtime_error("why not"); })"));
  for (int i = 0; i < 2; ++i) {
    const Exchange& exchange = Ask(handler);
    EXPECT_EQ(exchange.response.sent_status, 500);
    ASSERT_GE(exchange.log.size(), 2u);
    EXPECT_EQ(exchange.log[0],
              "terminate called after throwing an instance of 'std::runtime_error'");
    EXPECT_EQ(exchange.log[1], "  what():  why not");
  }
}

TEST_F(ProgramProcess, MayExitInsideACatchBlock) {
  cgi::Handler* handler = Load(Make("catch.cpp", R"(
      #include <cstdio>
      #include <cstdlib>
      #include <exception>
      #include <string>
      int main() {
        std::printf("Content-Type: text/plain\n\n%d", std::uncaught_exceptions() + (std::current_exception() != nullptr));
        try { throw std::string("leave"); } catch (const std::string&) { std::exit(0); }
      })"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(handler).response.sent, "0");
}

TEST_F(ProgramProcess, IsAskedForOutputAndAHeader) {
  cgi::Handler* silent = Load(Make("silent.c", "int main(void) { return 0; }"));
  cgi::Handler* failing = Load(Make("failing.c", "int main(void) { return 7; }"));
  cgi::Handler* garbage = Load(
      Make("garbage.c", "#include <stdio.h>\nint main(void) { puts(\"no header\"); return 0; }"));
  EXPECT_EQ(Ask(silent).response.sent_status, 502);
  EXPECT_EQ(Ask(failing).response.sent_status, 500);
  EXPECT_EQ(Ask(garbage).response.sent_status, 502);
}

TEST_F(ProgramProcess, EndsWhenItsCoroutineIsCancelled) {
  cgi::Handler* handler = Load(Make("sleeper.c", CProgram(R"(
      char* mine = malloc(1000);
      FILE* file = fopen("/dev/null", "r");
      for (;;) { sleep(100); fprintf(stderr, "%p%p", (void*)mine, (void*)file); })")));
  Exchange& exchange = Start(handler);
  coroutine::Coroutine* sleeper = nullptr;
  scheduler_.ForEach([&](coroutine::Coroutine& each) { sleeper = &each; });
  scheduler_.Spawn([&] {
    coroutine::SleepFor(std::chrono::milliseconds(5));
    coroutine::Cancel(*sleeper);
  });
  Finish();
  EXPECT_TRUE(exchange.done);
}

TEST_F(ProgramProcess, LosesNoOutputOfUnsynchronisedStreams) {
  cgi::Handler* handler = Load(Make("unsync.cpp", R"(
      #include <iostream>
      int main() {
        std::ios::sync_with_stdio(false);
        std::cout << "Content-Type: text/plain\n\nall of it";
      })"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Ask(handler).response.sent, "all of it");
}

TEST_F(ProgramProcess, WritesAndReadsWideCharacters) {
  const std::string wide_c = Make("wide.c", CProgram(R"(
      wchar_t line[32]; int n; setlocale(LC_ALL, "C.UTF-8");
      fwide(stdout, 1);
      if (fgetws(line, 32, stdin) == NULL) return 3;
      n = wprintf(L"%d \u00e9 %ls", 7, line);
      putwc(L'\u20ac', stdout); putwchar(L'x'); fputws(L" end", stdout);
      ungetwc(getwc(stdin), stdin);
      wint_t last = getwchar();
      fwprintf(stdout, L" %d %lc %d", n, last, getwc(stdin) == WEOF);)",
                                                     "#include <locale.h>\n#include <wchar.h>"));
  EXPECT_EQ(Ask(Load(wide_c), "", "\u00fcber\nz").response.sent,
            "7 \u00e9 \u00fcber\n\u20acx end 9 z 1");
  const std::string wide_streams = Make("wide.cpp", R"(
      #include <iostream>
      #include <string>
      int main() {
        std::wstring word;
        std::wcin >> word;
        std::wcout << L"Content-Type: text/plain\n\n" << word << L' ' << 1.5 << std::endl;
        std::wcerr << L"to the log" << std::endl;
      })");
  const Exchange& exchange = Ask(Load(wide_streams), "", "one two");
  EXPECT_EQ(exchange.response.sent, "one 1.5\n");
  EXPECT_EQ(exchange.log, std::vector<std::string>{"to the log"});
}

// Segments from 256 KiB on change hands page by page (hooks/program_pages.h).
TEST_F(ProgramProcess, HasLargeStaticDataOfItsOwn) {
  cgi::Handler* handler = Load(Make("large.c", CProgram(R"(
      const char* query = getenv("QUERY_STRING");
      long n = atol(query), found = 0, i;
      for (i = 0; i < 300000; i += 777) found += zeros[i] != 0 || sevens[i % SEVENS] != 7;
      for (i = n; i < 300000; i += 5000 + n) { zeros[i] = (int)n; usleep(n % 3 == 0); }
      sevens[n] = (char)n; usleep(n % 7 * 1000); small = (int)n;
      for (i = n; i < 300000; i += 5000 + n) found += zeros[i] != n;
      if (n % 5 == 0) mprotect((char*)((long)(zeros + 40000) & -4096L), 8192, PROT_READ);
      usleep(n % 4 * 500);
      printf("%ld %d %d", found, sevens[n], small);)",
                                                        R"(
      #include <sys/mman.h>
      #define SEVENS 700000
      static int small = 1;
      static int zeros[300000];
      static char sevens[SEVENS] = {[0 ... SEVENS - 1] = 7};)")));
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 60; ++n) Start(handler, std::to_string(n));
    Finish();
  }
  for (size_t i = 0; i < exchanges_.size(); ++i) {
    const std::string n = std::to_string(i % 60);
    EXPECT_EQ(exchanges_[i]->response.sent, "0 " + n + " " + n);
  }
}

// What waits keeps the pages that it has written, not the whole segment.
TEST_F(ProgramProcess, WaitsWithLargeStaticDataAtThePriceOfWhatItWrote) {
  cgi::Handler* handler = Load(Make("huge.c", CProgram(R"(
      table[0] = 1; table[5000000] = 2; usleep(200000); printf("%d", table[0] + table[5000000]);)",
                                                       "static char table[16 << 20];")));
  constexpr int kRequests = 200;  // 3.2 GB, if each had a copy
  for (int i = 0; i < kRequests; ++i) Start(handler);
  size_t resident = 0;
  scheduler_.Spawn([&resident] {
    coroutine::SleepFor(std::chrono::milliseconds(100));
    resident = ResidentBytes();
  });
  Finish();
  for (const auto& exchange : exchanges_) EXPECT_EQ(exchange->response.sent, "3");
  EXPECT_LT(resident, size_t{1} << 30);
}

TEST_F(ProgramProcess, SignalsItselfAlone) {
  cgi::Handler* handler = Load(Make("signals.c", CProgram(R"(
      signal(SIGTERM, on_signal);
      kill(0, SIGTERM);
      printf("%d ", got == SIGTERM);
      signal(SIGTERM, SIG_DFL);
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR1);
      signal(SIGUSR1, on_signal);
      sigprocmask(SIG_BLOCK, &set, NULL);
      raise(SIGUSR1);
      printf("%d ", got == SIGUSR1);
      sigprocmask(SIG_UNBLOCK, &set, NULL);
      printf("%d ", got == SIGUSR1);
      printf("%d", kill(getppid(), 0) < 0 && errno == EPERM);
      fflush(stdout);
      if (getenv("QUERY_STRING")[0] == 'k') kill(getpid(), SIGKILL);)",
                                                          R"(
      static volatile sig_atomic_t got;
      static void on_signal(int number) { got = number; })")));
  EXPECT_EQ(Ask(handler).response.sent, "1 0 1 1");
  EXPECT_TRUE(Ask(handler, "k").response.aborted());
  EXPECT_EQ(Ask(handler).response.sent, "1 0 1 1");
}

TEST_F(ProgramProcess, IsWokenByItsAlarm) {
  cgi::Handler* handler = Load(Make("alarm.c", CProgram(R"(
      struct itimerval soon = {{0, 0}, {0, 5000}};
      signal(SIGALRM, on_alarm);
      setitimer(ITIMER_REAL, &soon, NULL);
      int slept = usleep(20000000);
      printf("%d %d", rang, slept < 0 && errno == EINTR);
      if (getenv("QUERY_STRING")[0] == 'd') {
        signal(SIGALRM, SIG_DFL);
        setitimer(ITIMER_REAL, &soon, NULL);
        for (;;) sleep(1);
      }
      alarm(100);)",
                                                        R"(
      #include <sys/time.h>
      static volatile sig_atomic_t rang;
      static void on_alarm(int number) { rang += number == SIGALRM; })")));
  Exchange& killed = Start(handler, "d");
  Exchange& woken = Start(handler);
  Finish();
  EXPECT_EQ(woken.response.sent, "1 1");
  EXPECT_EQ(killed.response.sent_status, 500);
}

TEST_F(ProgramProcess, CrashesAlone) {
  if (!hooks::HeapTracking()) GTEST_SKIP() << "a sanitizer reports crashes itself";
  int crashes = 0;
  ProgramOptions options;
  options.on_crash = [&] { ++crashes; };
  cgi::Handler* handler = Load(Make("crash.c",
                                    CProgram(R"(
      usleep(1000);
      switch (getenv("QUERY_STRING")[0]) {
        case 'n': *(volatile int*)NULL = 1; break;
        case 'o': return deeper(1);
        case 'f': free((void*)main); break;
      }
      printf("alive");)",
                                             R"(
      static int deeper(int n) { char room[10000]; memset(room, n, sizeof room); return n < 0 ? 0 : deeper(n + 1) + room[n % 100]; }
      int main(void);)"),
                                    {"-O0"}),
                               std::move(options));
  for (const char* how : {"n", "o", "f"}) {
    Exchange& crashed = Start(handler, how);
    Exchange& other = Start(handler, "-");
    Finish();
    EXPECT_EQ(crashed.response.sent_status, 500) << how;
    EXPECT_EQ(other.response.sent, "alive") << how;
  }
  EXPECT_EQ(crashes, 3);
}

TEST_F(ProgramProcess, HasItsOwnLocale) {
  cgi::Handler* handler = Load(Make("locale.c", CProgram(R"(
      printf("%s ", setlocale(LC_ALL, NULL));
      setlocale(LC_CTYPE, getenv("QUERY_STRING"));
      usleep(1000);
      printf("%zu %s", MB_CUR_MAX, setlocale(LC_CTYPE, NULL));)",
                                                         "#include <locale.h>")));
  Exchange& utf8 = Start(handler, "C.UTF-8");
  Exchange& plain = Start(handler, "POSIX");
  Finish();
  EXPECT_EQ(utf8.response.sent, "C 6 C.UTF-8");
  EXPECT_EQ(plain.response.sent, "C 1 C");
}

// The program's coroutine reads and writes for the connection's, whose stack others use meanwhile.
TEST_F(ProgramProcess, OnAStackOfItsOwnKeepsNobodyFromTheSharedOnes) {
  ProgramOptions options;
  options.stack_mode = coroutine::StackMode::kPrivate;
  options.stack_size = 128 << 10;
  cgi::Handler* handler =
      Load(Make("sleeper.c", CProgram("usleep(500000); printf(\"rested\");")), options);
  size_t woken = 0;
  size_t ended_before = 0;
  for (int i = 0; i < 50; ++i)
    scheduler_.Spawn([&] {
      static_cast<void>(coroutine::SleepFor(std::chrono::milliseconds(50)));
      ++woken;
      for (const auto& exchange : exchanges_) ended_before += exchange->done ? 1 : 0;
    });
  for (int i = 0; i < 20; ++i) Start(handler);
  Finish();
  EXPECT_EQ(woken, 50u);
  EXPECT_EQ(ended_before, 0u);
  for (const auto& exchange : exchanges_) EXPECT_EQ(exchange->response.sent, "rested");
}

// The timer that the sleep takes is no descriptor of the program: its number is soon another's.
TEST_F(ProgramProcess, AnAbsoluteSleepLeavesOthersTheirDescriptors) {
  cgi::Handler* handler = Load(Make("absolute.c", CProgram(R"(
      struct timespec until;
      clock_gettime(CLOCK_REALTIME, &until);
      until.tv_nsec += 30 * 1000 * 1000;
      if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
      printf("%d", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL));
      usleep(200 * 1000);)",
                                                           "#include <time.h>")));
  int others = -1;
  scheduler_.Spawn([&] {
    coroutine::SleepFor(std::chrono::milliseconds(120));
    others = dup(0);
  });
  EXPECT_EQ(Ask(handler).response.sent, "0");
  EXPECT_GE(fcntl(others, F_GETFD), 0) << others;
  close(others);
}

// Numbers that are free are the program's to have again, not the hooks'.
TEST_F(ProgramProcess, WithoutStandardDescriptorsItSleepsAndStartsProcesses) {
  cgi::Handler* handler = Load(Make("closed.c", CProgram(R"(
      close(2);
      struct timespec until;
      clock_gettime(CLOCK_REALTIME, &until);
      until.tv_sec += 1;
      until.tv_nsec = 0;
      printf("%d ", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL));
      clock_gettime(CLOCK_REALTIME, &until);
      printf("%d ", until.tv_nsec < 900000000);
      fflush(stdout);
      return system("cat");)",
                                                         "#include <time.h>")));
  EXPECT_EQ(Ask(handler, "", "the body").response.sent, "0 1 the body");
}

// What tells a waiting coroutine of a post by a thread is the worker's, whoever waits first.
TEST_F(ProgramProcess, ASemaphoreOfAProgramLeavesOthersTheirDescriptors) {
  cgi::Handler* handler = Load(Make("semaphore.c", CProgram(R"(
      sem_t *semaphore = malloc(sizeof *semaphore);
      pthread_t thread;
      sem_init(semaphore, 0, 0);
      pthread_create(&thread, NULL, Post, semaphore);
      printf("%d ", sem_wait(semaphore));
      printf("%d", pthread_join(thread, NULL));)",
                                                            R"(
      #include <pthread.h>
      #include <semaphore.h>
      static void *Post(void *semaphore) {
        usleep(50 * 1000);
        sem_post(semaphore);
        return NULL;
      })")));
  EXPECT_EQ(Ask(handler).response.sent, "0 0");
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  EXPECT_EQ(Ask(handler).response.sent, "0 0");
  char byte;
  for (const int end : ends) EXPECT_LT(recv(end, &byte, 1, 0), 0);
  for (const int end : ends) close(end);
  descriptors_ = OpenDescriptors();  // that one stays
}

}  // namespace
}  // namespace cogi::server
