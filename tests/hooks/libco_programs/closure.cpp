// co_closure.h: work by closures of up to six captures on threads that know nothing of coroutines.
#include <pthread.h>

#include <vector>

#include "check.h"
#include "co_closure.h"

static void* Run(void* closure) {
  static_cast<stCoClosure_t*>(closure)->exec();
  return NULL;
}

int main() {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  int total = 0;
  std::vector<int> order;
  std::vector<stCoClosure_t*> closures;
  co_ref(shared, total, order, mutex);
  for (int i = 0; i < 10; ++i) {
    co_func(Add, shared, i) {
      pthread_mutex_lock(&shared.mutex);
      shared.total += i;
      shared.order.push_back(i);
      pthread_mutex_unlock(&shared.mutex);
    }
    co_func_end;
    closures.push_back(new Add(shared, i));
  }
  const int a = 1, b = 2, c = 3, d = 4, e = 5;
  co_func(Six, shared, a, b, c, d, e) { shared.total += a + b + c + d + e; }
  co_func_end;
  std::vector<pthread_t> threads(closures.size());
  for (size_t i = 0; i < threads.size(); ++i)
    CHECK(pthread_create(&threads[i], NULL, Run, closures[i]) == 0);
  for (size_t i = 0; i < threads.size(); ++i) {
    pthread_join(threads[i], NULL);
    delete closures[i];
  }
  CHECK(total == 45 && order.size() == 10);
  Six six(shared, a, b, c, d, e);
  six.exec();
  CHECK(total == 60);
  return 0;
}
