// Kept for programs written for libco that include it: the context itself is private to cogi.
#ifndef COGI_COROUTINE_LIBCO_COCTX_H_
#define COGI_COROUTINE_LIBCO_COCTX_H_

#include <stddef.h>

typedef void* (*coctx_pfn_t)(void* first, void* second);

struct coctx_param_t {
  const void* s1;
  const void* s2;
};

// The stack of a coroutine: its size and lowest address, null before the first run.
struct coctx_t {
  size_t ss_size;
  char* ss_sp;
};

#endif  // COGI_COROUTINE_LIBCO_COCTX_H_
