// Many coroutines on two shared stacks: what lies on them when they yield is there again later.
#include <string.h>

#include <vector>

#include "check.h"
#include "co_routine.h"
#include "co_routine_inner.h"
#include "coctx.h"

static void* Routine(void* argument) {
  const long number = reinterpret_cast<long>(argument);
  char text[128];
  snprintf(text, sizeof text, "from routine %ld", number);
  for (int i = 0; i < 5; ++i) {
    char expected[128];
    snprintf(expected, sizeof expected, "from routine %ld", number);
    CHECK(strcmp(text, expected) == 0);
    co_yield_ct();
  }
  return NULL;
}

int main() {
  stShareStack_t* stacks = co_alloc_sharestack(2, 128 * 1024);
  stCoRoutineAttr_t attributes;
  attributes.stack_size = 0;
  attributes.share_stack = stacks;
  std::vector<stCoRoutine_t*> routines(100);
  for (size_t i = 0; i < routines.size(); ++i) {
    CHECK(co_create(&routines[i], &attributes, Routine, reinterpret_cast<void*>(i)) == 0);
    CHECK(routines[i]->cIsShareStack && !routines[i]->cStart);
  }
  for (int round = 0; round < 6; ++round) {
    for (stCoRoutine_t* routine : routines) co_resume(routine);
  }
  for (stCoRoutine_t* routine : routines) {
    CHECK(routine->cEnd);
    co_reset(routine);
    co_resume(routine);
    CHECK(!routine->cEnd);
    co_release(routine);
  }
  return 0;
}
