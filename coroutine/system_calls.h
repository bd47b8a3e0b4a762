// The kernel calls of the event loop, made directly: libcogi.so interposes libc's functions of the
// same names (hooks/), and the loop that the hooks stand on must not come back to them. Each
// returns the kernel's answer, that is a negative errno on failure; the thread's errno is left
// alone. Elsewhere than on Linux, where nothing is interposed, libc's functions are called.
#ifndef COGI_COROUTINE_SYSTEM_CALLS_H_
#define COGI_COROUTINE_SYSTEM_CALLS_H_

#include <poll.h>
#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/syscall.h>
#else
#include <signal.h>
#include <unistd.h>
#endif

namespace cogi::coroutine::sys {

#if defined(__linux__)

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0) noexcept {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#else
#error "no system call sequence for this machine"
#endif
}

template <class T>
inline long Arg(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}

inline long Write(int fd, const void* data, size_t length) noexcept {
  return Call(SYS_write, fd, Arg(data), static_cast<long>(length));
}
inline long Close(int fd) noexcept { return Call(SYS_close, fd); }
inline long Raise(int signal) noexcept {
  return Call(SYS_tgkill, Call(SYS_getpid), Call(SYS_gettid), signal);
}
inline long EventFd(unsigned initial, int flags) noexcept {
  return Call(SYS_eventfd2, static_cast<long>(initial), flags);
}
inline long EpollCreate(int flags) noexcept { return Call(SYS_epoll_create1, flags); }
inline long EpollCtl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return Call(SYS_epoll_ctl, epoll, operation, fd, Arg(event));
}
// EpollWait() in milliseconds, -1 for ever.
inline long EpollWait(int epoll, epoll_event* events, int room, int milliseconds) noexcept {
  return Call(SYS_epoll_pwait, epoll, Arg(events), room, milliseconds, 0, 8);
}
// EpollWait2() to the nanosecond (Linux 5.11); null waits for ever. -ENOSYS on older kernels.
inline long EpollWait2(int epoll, epoll_event* events, int room, const timespec* wait) noexcept {
#ifdef SYS_epoll_pwait2
  return Call(SYS_epoll_pwait2, epoll, Arg(events), room, Arg(wait), 0, 8);
#else
  return Call(441, epoll, Arg(events), room, Arg(wait), 0, 8);
#endif
}
// PollNow() is poll(2) that never waits.
inline long PollNow(pollfd* fds, nfds_t count) noexcept {
  timespec zero{0, 0};
  return Call(SYS_ppoll, Arg(fds), static_cast<long>(count), Arg(&zero), 0, 8);
}

#else

// Answered() makes libc's answer one of the kernel's.
template <class Attempt>
inline long Answered(Attempt attempt) noexcept {
  const int error = errno;
  const auto result = static_cast<long>(attempt());
  const long answer = result < 0 ? -errno : result;
  errno = error;
  return answer;
}
inline long Write(int fd, const void* data, size_t length) noexcept {
  return Answered([&] { return ::write(fd, data, length); });
}
inline long Close(int fd) noexcept {
  return Answered([&] { return ::close(fd); });
}
inline long Raise(int signal) noexcept {
  return Answered([&] { return ::raise(signal); });
}
inline long PollNow(pollfd* fds, nfds_t count) noexcept {
  return Answered([&] { return ::poll(fds, count, 0); });
}

#endif

}  // namespace cogi::coroutine::sys

#endif  // COGI_COROUTINE_SYSTEM_CALLS_H_
