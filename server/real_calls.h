// The real system calls. A worker's own code (accept loop, connections, logs) runs inside
// coroutines too, but waits through the event loop itself; it takes libc's functions directly, past
// the hooks that stand before them for everybody else. Saves the hooks' bookkeeping per call, and
// means the kernel's descriptors 0 to 2, never those of the program that happens to run.
// Thread-safe. Never yields.
#ifndef COGI_SERVER_REAL_CALLS_H_
#define COGI_SERVER_REAL_CALLS_H_

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace cogi::server {

struct RealCalls {
  ssize_t (*read)(int, void*, size_t);
  ssize_t (*write)(int, const void*, size_t);
  ssize_t (*recv)(int, void*, size_t, int);
  ssize_t (*send)(int, const void*, size_t, int);
  ssize_t (*sendmsg)(int, const msghdr*, int);
  ssize_t (*recvmsg)(int, msghdr*, int);
  ssize_t (*sendfile)(int, int, off_t*, size_t);
  ssize_t (*pread)(int, void*, size_t, off_t);
  int (*accept4)(int, sockaddr*, socklen_t*, int);
  int (*shutdown)(int, int);
  int (*close)(int);
  int (*dup)(int);
  int (*poll)(pollfd*, nfds_t, int);
};

// Real() is libc's own functions. Ends the process with a message if libc cannot be found.
[[nodiscard]] const RealCalls& Real() noexcept;

// PeerHasGone() is true if the other end of the stream socket `fd` has closed or reset both its
// sides. One that has only ended its sending side still waits for the answer (RFC 9112 9.6).
[[nodiscard]] bool PeerHasGone(int fd) noexcept;

// UniqueFd owns a descriptor of the server's own and closes it with the real close().
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1) {
    if (fd_ >= 0) Real().close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_REAL_CALLS_H_
