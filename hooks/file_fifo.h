// Opening a FIFO, which waits until somebody has opened its other end: for ever, perhaps.
#ifndef COGI_HOOKS_FILE_FIFO_H_
#define COGI_HOOKS_FILE_FIFO_H_

namespace cogi::hooks {

class PathScope;

// OpeningMayWait() is true if open(2) with `flags` waits for the other end of what is a FIFO.
[[nodiscard]] bool OpeningMayWait(int flags) noexcept;

// What OpenFifo() says of a path that is for the caller to open: it does not wait for another end.
inline constexpr int kNoFifo = -2;

// OpenFifo() is open(2) of a FIFO inside a coroutine, which is parked until somebody has opened the
// other end; it looks for that when another coroutine of the thread opens a FIFO, and from time to
// time, at least every 32 ms. `directory` is the kernel's descriptor or AT_FDCWD; `scope` is where
// the path begins. The result is a descriptor of the kernel's; kNoFifo: nothing was done; -1 with
// errno ECANCELED, or that of the opening. One system call for what is no FIFO, none outside
// coroutines. May yield.
[[nodiscard]] int OpenFifo(int directory, const char* path, int flags, const PathScope& scope);

// AwaitFifo() is the rest of that for `fd`, a FIFO that has been opened with O_NONBLOCK besides
// `flags`: to close it again would lose what its other end has written meanwhile. Returns `fd`; or
// -1 with errno ECANCELED, and closes it. May yield.
[[nodiscard]] int AwaitFifo(int fd, int flags);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FILE_FIFO_H_
