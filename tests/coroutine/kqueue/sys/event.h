// A double of <sys/event.h>: as much of kqueue(2) as coroutine/poller_kqueue.cpp uses, made of
// epoll(7), with the values of FreeBSD and macOS where they have the same. What differs from the
// real thing: kqueue.cpp.
#ifndef COGI_TESTS_COROUTINE_KQUEUE_SYS_EVENT_H_
#define COGI_TESTS_COROUTINE_KQUEUE_SYS_EVENT_H_

#include <stdint.h>
#include <time.h>

struct kevent {
  uintptr_t ident;
  int16_t filter;
  uint16_t flags;
  uint32_t fflags;
  intptr_t data;
  void* udata;
};

#define EV_SET(event, ident, filter, flags, fflags, data, udata) \
  (*(event) = {(ident), (filter), (flags), (fflags), (data), (udata)})

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_USER (-10)
#define EVFILT_EXCEPT (-15)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_OOB 0x00000002
#define NOTE_TRIGGER 0x01000000

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // the function has the name of the structure
extern "C" {
int kqueue() noexcept;
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const timespec* wait) noexcept;
}
#pragma GCC diagnostic pop

#endif  // COGI_TESTS_COROUTINE_KQUEUE_SYS_EVENT_H_
