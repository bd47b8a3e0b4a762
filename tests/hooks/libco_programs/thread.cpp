// Threads with coroutines and an event loop of their own; a mutex of coroutines in each.
#include <pthread.h>

#include "check.h"
#include "co_comm.h"
#include "co_routine.h"
#include "co_routine_inner.h"

struct PerThread {
  pthread_t thread;
  clsCoMutex mutex;
  int inside;
  int finished;
};

static void* Routine(void* argument) {
  co_enable_hook_sys();
  PerThread* self = static_cast<PerThread*>(argument);
  for (int i = 0; i < 5; ++i) {
    const clsSmartLock lock(&self->mutex);
    CHECK(++self->inside == 1);
    poll(nullptr, 0, 1);
    --self->inside;
    co_poll(co_get_epoll_ct(), nullptr, 0, 0);
  }
  ++self->finished;
  co_yield_to_resumer(co_self());
  return nullptr;
}

static void* Thread(void* argument) {
  PerThread* self = static_cast<PerThread*>(argument);
  stCoRoutine_t* routines[3] = {};
  for (stCoRoutine_t*& co : routines) {
    CHECK(co_create(&co, nullptr, Routine, self) == 0);
    co_resume(co);
  }
  co_eventloop(
      co_get_epoll_ct(),
      [](void* given) { return static_cast<PerThread*>(given)->finished == 3 ? -1 : 0; }, self);
  for (stCoRoutine_t* co : routines) co_release(co);
  return nullptr;
}

int main() {
  PerThread threads[4] = {};
  for (PerThread& each : threads) CHECK(pthread_create(&each.thread, nullptr, Thread, &each) == 0);
  for (PerThread& each : threads) CHECK(pthread_join(each.thread, nullptr) == 0);
  for (PerThread& each : threads) CHECK(each.finished == 3 && each.inside == 0);
  return 0;
}
