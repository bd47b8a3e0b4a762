// Waiting for descriptors. Each scheduler has one epoll instance (elsewhere than on Linux a kqueue:
// poller.h); a descriptor is registered there once, edge-triggered, at its first wait and stays
// registered until ForgetFd(). What the edges have reported is latched per descriptor, so the rule
// for callers is: *try the system call first*; on EAGAIN call MarkDrained() and WaitFd(); try
// again.
//
// All of it concerns the calling thread's scheduler; other threads' registrations of the same
// descriptor are their own.
#ifndef COGI_COROUTINE_EVENT_LOOP_H_
#define COGI_COROUTINE_EVENT_LOOP_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>

#include "coroutine/deadline.h"
#include "coroutine/events.h"
#include "coroutine/export.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

// WaitFd() suspends the calling coroutine until one of `events` (EPOLLIN, EPOLLOUT, EPOLLPRI,
// EPOLLRDHUP) or an error or hang-up is latched for `fd`, or `deadline` has passed. Any number of
// coroutines may wait for one fd. Returns at once if something wanted is latched. `*got`, if given,
// receives the latched events. A descriptor that epoll refuses (EPERM: regular files and
// directories) is always ready. kClosed: ForgetFd(fd) was called meanwhile, or `fd` is not open.
// kNoMemory: the event loop cannot watch one more (ENOMEM or ENOSPC of epoll_ctl(2)). May yield.
[[nodiscard]] COGI_API WakeReason WaitFd(int fd, uint32_t events, Deadline deadline,
                                         uint32_t* got = nullptr);

// MarkDrained() says that the kernel answered EAGAIN for `events` (EPOLLIN, EPOLLOUT): their
// latches are cleared.
COGI_API void MarkDrained(int fd, uint32_t events) noexcept;

// MarkShortRead() says that a read of a stream socket or pipe returned fewer bytes than asked: its
// EPOLLIN latch is cleared, so that the next read parks without asking the kernel, unless HUP,
// RDHUP or ERR is latched (data and FIN may have come in one edge).
COGI_API void MarkShortRead(int fd) noexcept;

// KnownDrained() is true if `events` is known not to be ready, so that the system call may be
// saved.
[[nodiscard]] COGI_API bool KnownDrained(int fd, uint32_t events) noexcept;

// PollFds() is poll(2) for a coroutine: fills `revents` (POLLNVAL for closed descriptors included)
// and returns the number of entries with one, 0 after `deadline`, or -1 with errno (ECANCELED,
// ENOMEM). The set is copied off the stack while parked. Level-triggered for the caller: each
// return is checked with a real poll(2). May yield.
[[nodiscard]] COGI_API int PollFds(pollfd* fds, nfds_t count, Deadline deadline);

// ForgetFd() ends the registration of `fd` in this thread's epoll and wakes all its waiters with
// kClosed. Call it just *before* close(2), or before dup2(2) replaces the descriptor. Later events
// of the old registration are dropped, even when the number is used again. Never yields.
COGI_API void ForgetFd(int fd) noexcept;

// ForgetFdEverywhere() does so for the schedulers of all threads: at once for this one, at their
// next turn for the others. Thread-safe. Never yields.
COGI_API void ForgetFdEverywhere(int fd);

// RegisterExclusive() registers a listening socket level-triggered with EPOLLEXCLUSIVE instead, so
// that of several workers which share it not all are woken for one connection. WaitFd() then works
// on it as ever, except that the latch is cleared by each wait. (With kqueue all are woken.)
// UnregisterFd() takes it out again (a busy worker leaves connections to the others, or re-queues
// itself behind them). Return 0 or an errno.
COGI_API int RegisterExclusive(int fd) noexcept;
COGI_API void UnregisterFd(int fd) noexcept;

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_EVENT_LOOP_H_
