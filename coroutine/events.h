// What a descriptor can be waited for, by the names of epoll: EPOLLIN, EPOLLOUT, EPOLLPRI,
// EPOLLRDHUP; and what is reported beside it, EPOLLERR and EPOLLHUP. All but EPOLLRDHUP are the
// same bits as poll(2)'s on every system.
#ifndef COGI_COROUTINE_EVENTS_H_
#define COGI_COROUTINE_EVENTS_H_

#if defined(__linux__)
#include <sys/epoll.h>
#else
#include <cstdint>
inline constexpr uint32_t EPOLLIN = 0x001, EPOLLPRI = 0x002, EPOLLOUT = 0x004, EPOLLERR = 0x008,
                          EPOLLHUP = 0x010, EPOLLRDHUP = 0x2000;
#endif

#endif  // COGI_COROUTINE_EVENTS_H_
