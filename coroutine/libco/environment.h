// What a thread has for libco's API. Private to coroutine/libco/.
#ifndef COGI_COROUTINE_LIBCO_ENVIRONMENT_H_
#define COGI_COROUTINE_LIBCO_ENVIRONMENT_H_

#include <memory>

#include "coroutine/libco/co_routine_inner.h"
#include "coroutine/scheduler.h"
#include "coroutine/shared_stacks.h"
#include "coroutine/wait.h"

struct stCoRoutineEnv_t {
  std::unique_ptr<cogi::coroutine::Scheduler> own;  // null if the thread had one before
  stCoRoutine_t main{};
  stCoEpoll_t* epoll = nullptr;  // by SetEpoll()
};

struct stCoEpoll_t {};  // only its address counts: the loop is the thread's scheduler

struct stShareStack_t {
  stShareStack_t(size_t count, size_t size) : stacks(count, size) {}
  cogi::coroutine::SharedStacks stacks;
};

struct stCoCond_t {
  cogi::coroutine::WaitList waiters;
};

#endif  // COGI_COROUTINE_LIBCO_ENVIRONMENT_H_
