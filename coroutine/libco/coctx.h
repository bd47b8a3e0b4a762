// libco's bare context: two stacks, and a switch between them. For programs that build something of
// their own on it; coroutines of co_routine.h do not use it. Nothing that waits (co_poll(), hooked
// calls, co_yield_ct()) may be called on such a stack.
#ifndef COGI_COROUTINE_LIBCO_COCTX_H_
#define COGI_COROUTINE_LIBCO_COCTX_H_

#include <stddef.h>

#define COGI_LIBCO_API __attribute__((visibility("default")))

typedef void* (*coctx_pfn_t)(void* first, void* second);

struct coctx_param_t {
  const void* s1;
  const void* s2;
};

// `ss_size` and `ss_sp` are the caller's: the size and lowest address of its stack, to be set
// before coctx_make().
struct coctx_t {
  void* stack_pointer;
  coctx_pfn_t function;
  coctx_param_t parameters;
  size_t ss_size;
  char* ss_sp;
};

// coctx_init() zeroes `context`. coctx_make() has it call function(first, second) when it is first
// switched to; `function` must not return. Both return 0.
COGI_LIBCO_API int coctx_init(coctx_t* context);
COGI_LIBCO_API int coctx_make(coctx_t* context, coctx_pfn_t function, const void* first,
                              const void* second);
// coctx_swap() suspends the caller to `from` and continues `to`, of the same thread.
extern "C" COGI_LIBCO_API void coctx_swap(coctx_t* from, coctx_t* to);

#endif  // COGI_COROUTINE_LIBCO_COCTX_H_
