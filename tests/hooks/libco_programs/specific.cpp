// CO_ROUTINE_SPECIFIC variables and co_setspecific() keys: each coroutine's own.
#include <pthread.h>

#include "check.h"
#include "co_routine.h"
#include "co_routine_specific.h"

struct Data {
  int number;
  char rest[60];
};
CO_ROUTINE_SPECIFIC(Data, own);
static pthread_key_t key;
static int finished = 0;

static void* Routine(void* argument) {
  co_enable_hook_sys();
  const int number = *static_cast<int*>(argument);
  CHECK(own->number == 0);
  own->number = number;
  CHECK(co_getspecific(key) == nullptr && co_setspecific(key, argument) == 0);
  for (int i = 0; i < 5; ++i) {
    poll(nullptr, 0, 1);
    CHECK(own->number == number && co_getspecific(key) == argument);
  }
  ++finished;
  return nullptr;
}

int main() {
  CHECK(pthread_key_create(&key, nullptr) == 0);
  int numbers[10];
  for (int i = 0; i < 10; ++i) {
    numbers[i] = i + 1;
    stCoRoutine_t* co = nullptr;
    CHECK(co_create(&co, nullptr, Routine, &numbers[i]) == 0);
    co_resume(co);
  }
  co_eventloop(
      co_get_epoll_ct(), [](void*) { return finished == 10 ? -1 : 0; }, nullptr);
  CHECK(own->number == 0 && co_getspecific(key) == nullptr);
  return 0;
}
