// A program of somebody else, linked to an installed libcogi: two coroutines that block turn by
// turn.
#include <unistd.h>

#include <iostream>

#include "coroutine/scheduler.h"

int main() {
  cogi::coroutine::Scheduler scheduler;
  scheduler.Spawn([] {
    usleep(20000);
    std::cout << "second\n";
  });
  scheduler.Spawn([] { std::cout << "first\n"; });
  scheduler.Run();
}
