// What a thread has for libco's API. Private to coroutine/libco/.
#ifndef COGI_COROUTINE_LIBCO_ENVIRONMENT_H_
#define COGI_COROUTINE_LIBCO_ENVIRONMENT_H_

#include <array>
#include <cstddef>
#include <memory>

#include "coroutine/libco/co_routine_inner.h"
#include "coroutine/scheduler.h"
#include "coroutine/shared_stacks.h"
#include "coroutine/sync.h"
#include "coroutine/wait.h"

// Released keeps what was released last, so that a second release, or a resume, finds a released
// coroutine and not somebody else's memory.
class Released {
 public:
  void Add(stCoRoutine_t* co) {
    co->coroutine = nullptr;
    last_[next_++ % last_.size()].reset(co);
  }

 private:
  std::array<std::unique_ptr<stCoRoutine_t>, 64> last_;
  size_t next_ = 0;
};

struct stCoRoutineEnv_t {
  Released released;  // outlives the coroutines of `own`, whose ends may release others
  std::unique_ptr<cogi::coroutine::Scheduler> own;  // null if the thread had one before
  stCoRoutine_t main{};
  stCoEpoll_t* epoll = nullptr;  // by SetEpoll()
};

struct stCoEpoll_t {};  // only its address counts: the loop is the thread's scheduler

struct stShareStack_t {
  stShareStack_t(size_t count, size_t size) : stacks(count, size) {}
  cogi::coroutine::SharedStacks stacks;
};

struct stCoMutex_t {
  cogi::coroutine::Semaphore free{1};
};

struct stCoCond_t {
  cogi::coroutine::WaitList waiters;
};

#endif  // COGI_COROUTINE_LIBCO_ENVIRONMENT_H_
