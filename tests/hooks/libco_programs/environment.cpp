// co_set_env_list(): CGI's variables are each coroutine's own; others are the process's.
#include <stdlib.h>
#include <string.h>

#include <string>

#include "check.h"
#include "co_routine.h"

struct Routine {
  stCoRoutine_t* co;
  int number;
  bool done;
};

static void* Run(void* argument) {
  co_enable_hook_sys();
  Routine* routine = static_cast<Routine*>(argument);
  CHECK(strcmp(getenv("REQUEST_METHOD"), "of the process") == 0);
  const std::string own = std::to_string(routine->number);
  CHECK(setenv("REQUEST_METHOD", own.c_str(), 1) == 0);
  poll(NULL, 0, 5);
  CHECK(getenv("REQUEST_METHOD") == own);
  CHECK(unsetenv("REQUEST_METHOD") == 0);
  CHECK(getenv("REQUEST_METHOD") == NULL);
  CHECK(setenv("NOT_LISTED", own.c_str(), 1) == 0);
  routine->done = true;
  return NULL;
}

int main() {
  const char* names[] = {"REQUEST_METHOD", "CONTENT_LENGTH"};
  co_set_env_list(names, 2);
  setenv("REQUEST_METHOD", "of the process", 1);
  Routine routines[3] = {};
  for (int i = 0; i < 3; ++i) {
    routines[i].number = i;
    CHECK(co_create(&routines[i].co, NULL, Run, &routines[i]) == 0);
    co_resume(routines[i].co);
  }
  co_eventloop(
      co_get_epoll_ct(),
      [](void* all) -> int {
        Routine* first = static_cast<Routine*>(all);
        return first[0].done && first[1].done && first[2].done ? -1 : 0;
      },
      routines);
  CHECK(strcmp(getenv("REQUEST_METHOD"), "of the process") == 0);
  CHECK(strcmp(getenv("NOT_LISTED"), "2") == 0);
  return 0;
}
