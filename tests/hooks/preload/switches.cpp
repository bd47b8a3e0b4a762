// Two coroutines, one of which waits for the other through a pipe: possible only where calls are
// hooked. Prints what happened.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "coroutine/scheduler.h"
#include "hooks/calls.h"

int main() {
  int ends[2];
  if (pipe(ends) != 0) return 1;
  cogi::coroutine::Scheduler scheduler;
  bool second_ran_first = false, first_done = false;
  scheduler.Spawn(
      [&] {
        fprintf(stdout, "hooked %d\n", cogi::hooks::g_switches.hooks);
        usleep(20'000);
        first_done = true;
        if (write(ends[1], "x", 1) != 1) return;
        char data;
        if (read(ends[0], &data, 1) != 1) return;
      },
      {.name = "first"});
  scheduler.Spawn([&] { second_ran_first = !first_done; }, {.name = "second"});
  scheduler.Run();
  printf("overtaken %d, reads counted %llu\n", second_ran_first,
         static_cast<unsigned long long>(cogi::hooks::CallCount(cogi::hooks::Call::read)));
  return 0;
}
