// CHECK(condition) of the programs beside this file: says what does not hold and ends with 1.
#ifndef COGI_TESTS_HOOKS_LIBCO_PROGRAMS_CHECK_H_
#define COGI_TESTS_HOOKS_LIBCO_PROGRAMS_CHECK_H_

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

#endif  // COGI_TESTS_HOOKS_LIBCO_PROGRAMS_CHECK_H_
