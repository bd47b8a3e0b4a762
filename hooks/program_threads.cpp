// Threads that a program starts. They run its code outside of any coroutine: libc's calls block
// them, as anywhere, and what a coroutine's program has of its own (environ, descriptors 0 to 2,
// stdio) they have not. A thread of a libfcgi program belongs to the program's instance and may
// accept requests.
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "hooks/libfcgi.h"
#include "hooks/program.h"
#include "hooks/real.h"
#include "hooks/thread_keys.h"

namespace cogi::hooks {

constinit thread_local LibfcgiHost* t_libfcgi_host __attribute__((tls_model("initial-exec"))) =
    nullptr;

void Program::StartsThread() {
  if (has_threads_) return;
  {
    const ServerScope scope;
    SharesWithThreads();
  }
  t_heap.tracking = false;
}

void Program::SharesWithThreads() {
  has_threads_ = true;
  heap_.Forget();
  heap_tracking_ = false;
  if (libfcgi_ == nullptr) return;
  libfcgi_->has_threads = true;
  libfcgi_->open.clear();
  libfcgi_->StartsThread();
}

namespace {

struct Start {
  void* (*function)(void*);
  void* argument;
  std::shared_ptr<LibfcgiHost> host;
};

// The process that this thread of a libfcgi program belongs to, and its hold on the instance.
struct Membership {
  pid_t process;
  std::shared_ptr<LibfcgiHost>* host;
};
constinit thread_local Membership t_membership{0, nullptr};

void* Run(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  t_libfcgi_host = start->host.get();
  t_membership = {::getpid(), &start->host};
  return start->function(start->argument);
}

constinit real::RealCall<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>
    real_pthread_create{"pthread_create"};

// A thread of C11 returns an int.
struct C11Start {
  thrd_start_t function;
  void* argument;
};

void* RunC11(void* argument) {
  const C11Start start = *static_cast<C11Start*>(argument);
  {
    const ServerScope scope;
    delete static_cast<C11Start*>(argument);
  }
  return reinterpret_cast<void*>(static_cast<intptr_t>(start.function(start.argument)));
}

constinit real::RealCall<int(thrd_t*, thrd_start_t, void*)> real_thrd_create{"thrd_create"};

// `host`: the instance, or null for a CGI program's thread.
int Create(LibfcgiHost* host, pthread_t* thread, const pthread_attr_t* attributes,
           void* (*function)(void*), void* argument) {
  const ServerScope scope;
  std::unique_ptr<Start> start(new (std::nothrow) Start{function, argument, nullptr});
  if (start == nullptr) return EAGAIN;
  if (host != nullptr) start->host = host->shared_from_this();
  // The process's signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int result = real_pthread_create(thread, attributes, Run, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (result == 0) static_cast<void>(start.release());
  return result;
}

}  // namespace

// Nothing is unwound, as nothing is when a process ends: exit() below a noexcept function, or
// abort(), must not run destructors. Joining such a thread works, since the kernel tells of its
// end.
void EndThread(ProgramEnd end, int status) noexcept {
  if (t_libfcgi_host == nullptr || t_membership.process != ::getpid()) return;  // or a fork's child
  t_libfcgi_host->ThreadEnds(end, status);
  t_libfcgi_host = nullptr;
  t_membership.host->reset();
  ForgetThreadKeys();
  for (;;) real::syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
}

}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*function)(void*), void* argument) __asm__("pthread_create");
COGI_API int CogiC11ThreadCreate(thrd_t* thread, thrd_start_t function,
                                 void* argument) __asm__("thrd_create");

int CogiThreadCreate(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                     void* argument) {
  using namespace cogi::hooks;
  Program* program = Program::Current();
  if (program == nullptr && t_libfcgi_host == nullptr)
    return real_pthread_create(thread, attributes, function, argument);
  if (program != nullptr && program->image().uses_threads) program->StartsThread();
  return Create(CurrentLibfcgiHost(), thread, attributes, function, argument);
}

int CogiC11ThreadCreate(thrd_t* thread, thrd_start_t function, void* argument) {
  using namespace cogi::hooks;
  if (Program::Current() == nullptr && t_libfcgi_host == nullptr)
    return real_thrd_create(thread, function, argument);
  C11Start* start = nullptr;
  {
    const ServerScope scope;
    start = new (std::nothrow) C11Start{function, argument};
  }
  if (start == nullptr) return thrd_nomem;
  if (CogiThreadCreate(thread, nullptr, RunC11, start) == 0) return thrd_success;
  const ServerScope scope;
  delete start;
  return thrd_error;
}

}  // extern "C"
