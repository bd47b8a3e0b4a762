// The part of libco's inner header that programs use.
#ifndef COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_
#define COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_

#include "co_routine.h"
#include "coctx.h"

// What a program finds in libco's header and not here are that library's own parts: the layout of
// its stacks and save buffers, and its timeouts, whose items no program can make (their type is
// declared there and nowhere defined). What is missing does not compile; nothing is a dummy.

struct stCoRoutineEnv_t;
typedef void (*pfnCoRoutineFunc_t)();
typedef int (*poll_pfn_t)(struct pollfd fds[], nfds_t count, int timeout);

// To be read only.
struct stCoRoutine_t {
  stCoRoutineEnv_t* env;
  pfn_co_routine_t pfn;
  void* arg;
  coctx_t ctx;
  char cStart;          // has run
  char cEnd;            // has ended
  char cIsMain;         // stands for the thread's own stack
  char cEnableSysHook;  // as co_enable_hook_sys() and co_disable_hook_sys() have left it
  char cIsShareStack;   // runs on a shared stack
  int stack_size;
  stShareStack_t* share_stack;
  void* coroutine;  // cogi::coroutine::Coroutine
};

// co_init_curr_thread_env() makes what the calling thread needs for coroutines, which the first
// co_create() does as well. co_get_curr_thread_env() is that, or null before.
COGI_LIBCO_API void co_init_curr_thread_env();
COGI_LIBCO_API stCoRoutineEnv_t* co_get_curr_thread_env();
// co_free() is co_release(), co_yield_env() co_yield_ct(), GetCurrThreadCo() co_self().
COGI_LIBCO_API void co_free(stCoRoutine_t* co);
COGI_LIBCO_API void co_yield_env(stCoRoutineEnv_t* env);
COGI_LIBCO_API stCoRoutine_t* GetCurrThreadCo();

// AllocEpoll() is one more name for an event loop, to be freed by FreeEpoll(); null without memory.
// A thread has one loop, so all names that it is given stand for that: SetEpoll() makes `name` what
// co_get_epoll_ct() returns.
COGI_LIBCO_API stCoEpoll_t* AllocEpoll();
COGI_LIBCO_API void FreeEpoll(stCoEpoll_t* name);
COGI_LIBCO_API void SetEpoll(stCoRoutineEnv_t* env, stCoEpoll_t* name);

// co_poll_inner() is co_poll(), which asks `poll_function`, if it is not null, instead of poll(2)
// when the timeout is 0 or it is called outside a coroutine.
COGI_LIBCO_API int co_poll_inner(stCoEpoll_t* context, struct pollfd fds[], nfds_t count,
                                 int timeout, poll_pfn_t poll_function);

#endif  // COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_
