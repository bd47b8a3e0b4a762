// libco's API on cogi's coroutines: a program written for libco compiles unchanged with this folder
// on its include path and runs with -lcogi. C++11 to C++23. The differences, all of them mends, are
// listed in README.md of this folder.
//
// Everything belongs to one thread: a coroutine stays on the thread that created it.
#ifndef COGI_COROUTINE_LIBCO_CO_ROUTINE_H_
#define COGI_COROUTINE_LIBCO_CO_ROUTINE_H_

#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define COGI_LIBCO_API __attribute__((visibility("default")))

struct stCoRoutine_t;
struct stShareStack_t;
struct stCoEpoll_t;
struct stCoCond_t;

// Attributes of a new coroutine. stack_size in bytes: 0 or less is the default of 128 KiB, more
// than 8 MiB is 8 MiB; rounded up to pages, at least 16 KiB. With share_stack the coroutine runs on
// one of its stacks, of their size.
struct stCoRoutineAttr_t {
  int stack_size;
  stShareStack_t* share_stack;
  stCoRoutineAttr_t() : stack_size(128 * 1024), share_stack(nullptr) {}
} __attribute__((packed));

typedef int (*pfn_co_eventloop_t)(void*);
typedef void* (*pfn_co_routine_t)(void*);

// co_create() makes a coroutine that will run routine(arg); it starts at the first co_resume().
// `attr` may be null. Returns 0, or -1 with errno (ENOMEM, EAGAIN) and *co null.
COGI_LIBCO_API int co_create(stCoRoutine_t** co, const stCoRoutineAttr_t* attr,
                             pfn_co_routine_t routine, void* arg);
// co_resume() runs it until it yields, waits or ends. Nests to any depth, also between coroutines
// of one shared stack. Resuming one that has ended, or that runs already, ends the process with a
// message.
COGI_LIBCO_API void co_resume(stCoRoutine_t* co);
// co_yield_ct() gives control back to whoever resumed the running coroutine. Outside one the
// process ends with a message.
COGI_LIBCO_API void co_yield_ct();
// co_yield(co) is the same for `co`, the running coroutine. From C++20 on that name is a keyword:
// there, call co_yield_to_resumer().
COGI_LIBCO_API void co_yield_to_resumer(stCoRoutine_t* co);
#if !defined(__cpp_impl_coroutine) && __cplusplus < 202002L
COGI_LIBCO_API void co_yield (stCoRoutine_t* co);
#endif
// co_release() frees a coroutine that does not run. One suspended in the middle of its work is
// unwound first: its destructors run.
COGI_LIBCO_API void co_release(stCoRoutine_t* co);
// co_reset() makes a coroutine that does not run startable again, from the beginning.
COGI_LIBCO_API void co_reset(stCoRoutine_t* co);
// co_self() is the running coroutine; on the thread's own stack the thread's main one, once the
// thread has used coroutines; before that null.
COGI_LIBCO_API stCoRoutine_t* co_self();

// co_poll() is poll(2) for the running coroutine; `timeout` in milliseconds, below 0 for ever.
// Without descriptors it sleeps. Returns early, with what is ready, if somebody resumes the
// coroutine by hand.
COGI_LIBCO_API int co_poll(stCoEpoll_t* context, struct pollfd fds[], nfds_t count, int timeout);
// co_eventloop() runs the thread's event loop. `tick`, if given, is called after each turn and at
// least every millisecond; it ends the loop by returning -1. Without it the loop sleeps exactly
// until the next event and never ends.
COGI_LIBCO_API void co_eventloop(stCoEpoll_t* context, pfn_co_eventloop_t tick, void* arg);
// co_get_epoll_ct() is the thread's event loop; made at the first call.
COGI_LIBCO_API stCoEpoll_t* co_get_epoll_ct();

// Values by key, per coroutine; on the thread's own stack pthread_setspecific(). co_setspecific()
// returns 0 or ENOMEM. The coroutine's values are forgotten, not destroyed, at its end.
COGI_LIBCO_API int co_setspecific(pthread_key_t key, const void* value);
COGI_LIBCO_API void* co_getspecific(pthread_key_t key);

// Whether the blocking calls of the running coroutine park it. Off until enabled.
COGI_LIBCO_API void co_enable_hook_sys();
COGI_LIBCO_API void co_disable_hook_sys();
COGI_LIBCO_API bool co_is_enable_sys_hook();

// Conditions. Waiters are woken first in, first out, and run at the loop's next turn.
COGI_LIBCO_API stCoCond_t* co_cond_alloc();
COGI_LIBCO_API int co_cond_free(stCoCond_t* condition);
COGI_LIBCO_API int co_cond_signal(stCoCond_t* condition);
COGI_LIBCO_API int co_cond_broadcast(stCoCond_t* condition);
// co_cond_timedwait() waits `timeout` milliseconds, 0 or less for ever. Returns 0 if signalled,
// ETIMEDOUT, or ECANCELED.
COGI_LIBCO_API int co_cond_timedwait(stCoCond_t* condition, int timeout);

// co_alloc_sharestack() makes `count` stacks of `stack_size` bytes that coroutines share. Null,
// with errno, if it cannot. co_free_sharestack() frees them when no coroutine uses them any more.
COGI_LIBCO_API stShareStack_t* co_alloc_sharestack(int count, int stack_size);
COGI_LIBCO_API void co_free_sharestack(stShareStack_t* stacks);

// co_set_env_list() names environment variables of which each coroutine with hooks on has its own.
// Once per process.
COGI_LIBCO_API void co_set_env_list(const char* names[], size_t count);

// co_log_err() writes one line to stderr.
COGI_LIBCO_API void co_log_err(const char* format, ...) __attribute__((format(printf, 1, 2)));

// co_accept() is accept(2) of a coroutine: it never blocks the thread.
COGI_LIBCO_API int co_accept(int fd, struct sockaddr* address, socklen_t* length);

// co_gethostbyname(), co_gethostbyname_r() are netdb.h's functions: for a coroutine with hooks on
// they do not block the thread, and the answer of the first is the coroutine's own.
struct hostent;
COGI_LIBCO_API struct hostent* co_gethostbyname(const char* name);
COGI_LIBCO_API int co_gethostbyname_r(const char* name, struct hostent* result, char* buffer,
                                      size_t size, struct hostent** found, int* error);

#endif  // COGI_COROUTINE_LIBCO_CO_ROUTINE_H_
