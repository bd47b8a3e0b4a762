// The transparency suite: each case is one small piece of POSIX, run natively and inside a
// coroutine in both stack modes; results and errno must be the same. (EINTR, which is hidden,
// apart.) A hooked call without a case fails the suite.
//
//   TRANSPARENT(read, "the end of a pipe whose writer has gone") {
//     Pipe pipe;
//     pipe.CloseWriter();
//     return Result(read(pipe.reader(), buffer, 1));
//   }
#ifndef COGI_TESTS_HOOKS_TRANSPARENCY_SUITE_H_
#define COGI_TESTS_HOOKS_TRANSPARENCY_SUITE_H_

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

namespace cogi::hooks::transparency {

struct Outcome {
  long result = 0;
  int error = 0;  // errno if the result is -1
  std::string detail;
  bool operator==(const Outcome&) const = default;
};

// Result() is what a call returned, with errno if it failed, and what else must be the same.
inline Outcome Result(long result, std::string detail = "") {
  return {result, result == -1 ? errno : 0, std::move(detail)};
}

struct Case {
  const char* call;
  const char* name;
  Outcome (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

struct Registration {
  Registration(const char* call, const char* name, Outcome (*run)()) {
    Cases().push_back({call, name, run});
  }
};

#define COGI_PASTE2(a, b) a##b
#define COGI_PASTE(a, b) COGI_PASTE2(a, b)
#define TRANSPARENT_AS(call, name, unique)                                                  \
  static ::cogi::hooks::transparency::Outcome unique();                                     \
  static const ::cogi::hooks::transparency::Registration COGI_PASTE(registration_, unique)( \
      #call, name, unique);                                                                 \
  static ::cogi::hooks::transparency::Outcome unique()
#define TRANSPARENT(call, name) \
  TRANSPARENT_AS(call, name, COGI_PASTE(COGI_PASTE(case_, __COUNTER__), _##call))

// Later() runs `work` on a thread of its own after `milliseconds`; the suite waits for it after the
// case. The work must not use the case's locals by reference: on a shared stack they move.
void Later(int milliseconds, std::function<void()> work);

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  operator int() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// Two ends. `kind`: 0 a pipe; else the type of a unix socket pair.
class Pair {
 public:
  explicit Pair(int type = 0) {
    const int failed = type == 0 ? pipe(ends_) : socketpair(AF_UNIX, type, 0, ends_);
    if (failed != 0) ends_[0] = ends_[1] = -1;
  }
  ~Pair() {
    CloseReader();
    CloseWriter();
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void CloseReader() { CloseOne(ends_[0]); }
  void CloseWriter() { CloseOne(ends_[1]); }

 private:
  static void CloseOne(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  int ends_[2];
};

// A listening TCP socket on 127.0.0.1 and a free port.
class Listener {
 public:
  explicit Listener(int backlog = 16);
  ~Listener() { close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const sockaddr_in& address() const { return address_; }
  // ConnectLater() connects from a thread after `milliseconds`, sends `data`, and closes after
  // `linger_ms`.
  void ConnectLater(int milliseconds, std::string data = "", int linger_ms = 0) const;

 private:
  int fd_;
  sockaddr_in address_{};
};

inline const sockaddr* Address(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

inline void SetTimeout(int fd, int option, long milliseconds) {
  const timeval time{milliseconds / 1000, milliseconds % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, option, &time, sizeof time);
}

inline void SetNonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// A sanitizer stops at arguments whose length is a lie before any hook or kernel sees them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr int kClosedFd = 1 << 20;  // a number that is surely not open

}  // namespace cogi::hooks::transparency

#endif  // COGI_TESTS_HOOKS_TRANSPARENCY_SUITE_H_
