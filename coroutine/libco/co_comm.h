// A mutex between coroutines of one thread, first come first served, and its scope guard.
#ifndef COGI_COROUTINE_LIBCO_CO_COMM_H_
#define COGI_COROUTINE_LIBCO_CO_COMM_H_

#include "co_routine.h"

class COGI_LIBCO_API clsCoMutex {
 public:
  clsCoMutex();
  ~clsCoMutex();
  clsCoMutex(const clsCoMutex&) = delete;
  clsCoMutex& operator=(const clsCoMutex&) = delete;

  // Parks the coroutine while another has the mutex.
  void CoLock();
  void CoUnLock();

 private:
  stCoCond_t* condition_;
  int holder_and_waiters_;
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
