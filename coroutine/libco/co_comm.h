// A mutex between coroutines of one thread, first come first served, and its scope guard. One that
// waits and is released leaves its turn to the next.
#ifndef COGI_COROUTINE_LIBCO_CO_COMM_H_
#define COGI_COROUTINE_LIBCO_CO_COMM_H_

#include "co_routine.h"

struct stCoMutex_t;

class COGI_LIBCO_API clsCoMutex {
 public:
  clsCoMutex();
  ~clsCoMutex();
  clsCoMutex(const clsCoMutex&) = delete;
  clsCoMutex& operator=(const clsCoMutex&) = delete;

  // CoLock() parks the coroutine while another has the mutex.
  void CoLock();
  // CoUnLock() may be called by any; of a free mutex it does nothing.
  void CoUnLock();

 private:
  stCoMutex_t* state_;
};

class clsSmartLock {
 public:
  explicit clsSmartLock(clsCoMutex* mutex) : mutex_(mutex) { mutex_->CoLock(); }
  ~clsSmartLock() { mutex_->CoUnLock(); }
  clsSmartLock(const clsSmartLock&) = delete;
  clsSmartLock& operator=(const clsSmartLock&) = delete;

 private:
  clsCoMutex* mutex_;
};

#endif  // COGI_COROUTINE_LIBCO_CO_COMM_H_
