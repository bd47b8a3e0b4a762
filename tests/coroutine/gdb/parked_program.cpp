// What test_gdb.py looks at: coroutines that are parked for good, on shared
// stacks (of which one lies in its place and the others are saved) and on a
// private one. Prints "ID NAME ADDRESS..." for each, with the backtrace that it
// takes of itself, then "ready", and sleeps until it is killed.
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

#include "coroutine/event_loop.h"
#include "coroutine/inspect.h"
#include "coroutine/scheduler.h"

using namespace cogi::coroutine;

// External and each with another frame, so that a wrong one is noticed.
template <int size>
__attribute__((noinline)) void Middle(void (*inner)()) {
  volatile char frame[size];
  for (int i = 0; i < size; ++i) frame[i] = static_cast<char>(size);
  inner();
  if (frame[size - 1] != static_cast<char>(size)) _exit(3);
}
__attribute__((noinline)) void WaitsForTime() {
  SleepFor(std::chrono::hours(1));
  asm volatile("");
}
int ends[2];
__attribute__((noinline)) void WaitsForDescriptor() {
  (void)WaitFd(ends[0], EPOLLIN, kNoDeadline);
  asm volatile("");
}

int main() {
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  if (pipe(ends) != 0) return 2;
  SchedulerOptions options;
  options.shared_stacks = 1;
  Scheduler scheduler(options);
  scheduler.Spawn([] { Middle<300>(&WaitsForTime); }, {.name = "first"});
  scheduler.Spawn([] { Middle<900>(&WaitsForDescriptor); }, {.name = "second"});
  scheduler.Spawn([] { Middle<5000>(&WaitsForTime); }, {.name = "third"});
  scheduler.Spawn([] { Middle<700>(&WaitsForTime); },
                  {.stack_mode = StackMode::kPrivate, .name = "own stack"});
  int turns = 0;
  scheduler.RunUntil([&turns] { return ++turns == 1; });
  scheduler.ForEach([](Coroutine &co) {
    std::printf("%llu %s", static_cast<unsigned long long>(Id(co)), Name(co));
    for (void *address : Backtrace(co)) std::printf(" %p", address);
    std::printf("\n");
  });
  scheduler.Spawn([] {}, {.name = "not yet run"});
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) pause();
}
