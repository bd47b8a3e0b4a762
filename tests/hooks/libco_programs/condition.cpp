// Producer and consumer by co_cond_*; both wait by hooked poll(), the way libco's programs sleep.
#include <poll.h>

#include <queue>

#include "check.h"
#include "co_routine.h"

struct Shared {
  stCoCond_t* condition;
  std::queue<int> tasks;
  int produced;
  int consumed;
};
static const int kTasks = 20;

static void* Produce(void* argument) {
  co_enable_hook_sys();
  Shared* shared = static_cast<Shared*>(argument);
  for (int i = 0; i < kTasks; ++i) {
    shared->tasks.push(i);
    ++shared->produced;
    CHECK(co_cond_signal(shared->condition) == 0);
    CHECK(poll(NULL, 0, 1) == 0);
  }
  return NULL;
}

static void* Consume(void* argument) {
  co_enable_hook_sys();
  Shared* shared = static_cast<Shared*>(argument);
  while (shared->consumed < kTasks) {
    if (shared->tasks.empty()) {
      co_cond_timedwait(shared->condition, -1);
      continue;
    }
    CHECK(shared->tasks.front() == shared->consumed);
    shared->tasks.pop();
    ++shared->consumed;
  }
  return NULL;
}

static int UntilConsumed(void* argument) {
  return static_cast<Shared*>(argument)->consumed == kTasks ? -1 : 0;
}

int main() {
  Shared shared = {co_cond_alloc(), std::queue<int>(), 0, 0};
  stCoRoutine_t* consumer = NULL;
  stCoRoutine_t* producer = NULL;
  CHECK(co_create(&consumer, NULL, Consume, &shared) == 0);
  co_resume(consumer);
  CHECK(co_create(&producer, NULL, Produce, &shared) == 0);
  co_resume(producer);
  co_eventloop(co_get_epoll_ct(), UntilConsumed, &shared);
  CHECK(shared.produced == kTasks);
  co_release(consumer);
  co_release(producer);  // in the middle of its last poll()
  co_cond_free(shared.condition);
  return 0;
}
