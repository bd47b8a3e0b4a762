// CO_ROUTINE_SPECIFIC(T, name): at namespace scope, makes `name->field` reach a T of the running
// coroutine's own (on the thread's own stack, of the thread's own): zeroed memory at first use,
// freed at the coroutine's end. T must be trivial.
#ifndef COGI_COROUTINE_LIBCO_CO_ROUTINE_SPECIFIC_H_
#define COGI_COROUTINE_LIBCO_CO_ROUTINE_SPECIFIC_H_

#include <stddef.h>
#include <stdlib.h>

#include "co_routine.h"

// The value behind `*key`, which is 0 until the first call anywhere. Ends the process if there is
// no memory.
COGI_LIBCO_API void* cogi_co_routine_specific(size_t* key, size_t size);

template <class T>
class clsRoutineData_Shared {
 public:
  T* operator->() { return static_cast<T*>(cogi_co_routine_specific(&key_, sizeof(T))); }
  T& operator*() { return *operator->(); }

 private:
  size_t key_ = 0;
};

#define CO_ROUTINE_SPECIFIC(type, name) static clsRoutineData_Shared<type> name

#endif  // COGI_COROUTINE_LIBCO_CO_ROUTINE_SPECIFIC_H_
