// The part of libco's inner header that programs use.
#ifndef COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_
#define COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_

#include "co_routine.h"
#include "coctx.h"

struct stCoRoutineEnv_t;

// To be read only.
struct stCoRoutine_t {
  stCoRoutineEnv_t* env;
  pfn_co_routine_t pfn;
  void* arg;
  coctx_t ctx;
  char cStart;         // has run
  char cEnd;           // has ended
  char cIsMain;        // stands for the thread's own stack
  char cIsShareStack;  // runs on a shared stack
  int stack_size;
  stShareStack_t* share_stack;
  void* coroutine;  // cogi::coroutine::Coroutine
};

COGI_LIBCO_API void co_init_curr_thread_env();
COGI_LIBCO_API stCoRoutineEnv_t* co_get_curr_thread_env();
COGI_LIBCO_API void co_free(stCoRoutine_t* co);
COGI_LIBCO_API void co_yield_env(stCoRoutineEnv_t* env);
COGI_LIBCO_API stCoRoutine_t* GetCurrThreadCo();

#endif  // COGI_COROUTINE_LIBCO_CO_ROUTINE_INNER_H_
