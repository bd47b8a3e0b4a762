// Threads that a program starts. They run its code outside of any coroutine: libc's calls block
// them, as anywhere, and what a coroutine's program has of its own (environ, descriptors 0 to 2,
// stdio) they have not. A thread of a libfcgi program belongs to the program's instance and may
// accept requests.
#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <memory>
#include <new>

#include "hooks/libfcgi.h"
#include "hooks/program.h"
#include "hooks/real.h"

namespace cogi::hooks {

constinit thread_local LibfcgiHost* t_libfcgi_host __attribute__((tls_model("initial-exec"))) =
    nullptr;

void Program::StartsThread() {
  if (has_threads_) return;
  {
    const ServerScope scope;
    if (libfcgi_ != nullptr) libfcgi_->StartsThread();
  }
  has_threads_ = true;
  heap_.Forget();
  t_heap.tracking = false;
}

namespace {

struct Start {
  void* (*function)(void*);
  void* argument;
  std::shared_ptr<LibfcgiHost> host;
};

void* Run(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  t_libfcgi_host = start->host.get();
  return start->function(start->argument);
}

constinit real::RealCall<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>
    real_pthread_create{"pthread_create"};

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
}  // namespace cogi::hooks

extern "C" COGI_API int CogiThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                                         void* (*function)(void*),
                                         void* argument) __asm__("pthread_create");

int CogiThreadCreate(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                     void* argument) {
  using namespace cogi::hooks;
  Program* program = Program::Current();
  if (program == nullptr && t_libfcgi_host == nullptr)
    return real_pthread_create(thread, attributes, function, argument);
  if (program != nullptr && program->image().uses_threads) program->StartsThread();
  return Create(CurrentLibfcgiHost(), thread, attributes, function, argument);
}
