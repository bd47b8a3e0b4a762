// What programs use of co_routine_inner.h and coctx.h: the thread's environment and its event loop
// by their inner names, and bare contexts.
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "check.h"
#include "co_comm.h"
#include "co_routine_inner.h"
#include "coctx.h"

struct hostent* co_gethostbyname(const char* name);

static int asked = 0;
static int Ask(struct pollfd*, nfds_t, int) {
  ++asked;
  return 7;
}

static void* Body(void*) {
  CHECK(!co_is_enable_sys_hook() && !GetCurrThreadCo()->cEnableSysHook);
  co_enable_hook_sys();
  CHECK(co_is_enable_sys_hook() && GetCurrThreadCo()->cEnableSysHook);
  CHECK(co_poll_inner(co_get_epoll_ct(), NULL, 0, 0, Ask) == 7);
  CHECK(co_poll_inner(co_get_epoll_ct(), NULL, 0, 1, Ask) == 0);
  CHECK(asked == 1);
  const struct hostent* host = co_gethostbyname("127.0.0.1");
  CHECK(host != NULL && host->h_length == 4);
  co_yield_env(co_get_curr_thread_env());
  co_yield (co_self());
  return NULL;
}

static int UntilEnded(void* co) {
  stCoRoutine_t* self = static_cast<stCoRoutine_t*>(co);
  if (!self->cEnd) co_resume(self);
  return self->cEnd ? -1 : 0;
}

static coctx_t home, away;
static void* Away(void* first, void* second) {
  for (;;) {
    ++*static_cast<int*>(first);
    *static_cast<int*>(second) += 10;
    errno = 5;
    try {
      throw 1;
    } catch (int) {
      coctx_swap(&away, &home);
    }
  }
  return NULL;
}

static void SwapContexts() {
  static char stack[64 * 1024];
  int ones = 0, tens = 0;
  CHECK(coctx_init(&away) == 0 && coctx_init(&home) == 0);
  away.ss_sp = stack;
  away.ss_size = sizeof stack;
  CHECK(coctx_make(&away, Away, &ones, &tens) == 0);
  for (int i = 1; i <= 3; ++i) {
    errno = 3;
    coctx_swap(&home, &away);
    CHECK(ones == i && tens == 10 * i && errno == 3);
  }
}

int main() {
  CHECK(co_get_curr_thread_env() == NULL && GetCurrThreadCo() == NULL);
  co_init_curr_thread_env();
  CHECK(co_get_curr_thread_env() != NULL && GetCurrThreadCo()->cIsMain);
  stCoEpoll_t* const own = co_get_epoll_ct();
  stCoEpoll_t* const named = AllocEpoll();
  SetEpoll(co_get_curr_thread_env(), named);
  CHECK(co_get_epoll_ct() == named && named != own);
  stCoRoutine_t* co = NULL;
  CHECK(co_create(&co, NULL, Body, NULL) == 0);
  co_resume(co);
  co_eventloop(named, UntilEnded, co);
  co_free(co);
  FreeEpoll(named);
  CHECK(co_get_epoll_ct() == own);
  SwapContexts();
  return 0;
}
