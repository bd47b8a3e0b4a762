#include <sys/ioctl.h>
#include <sys/stat.h>

#include "tests/hooks/transparency/suite.h"

extern "C" int __fxstat(int version, int fd, struct stat* status) noexcept;

namespace cogi::hooks::transparency {
namespace {

std::string Numbers(std::initializer_list<long> numbers) {
  std::string text;
  for (const long number : numbers) text += std::to_string(number) + " ";
  return text;
}

TRANSPARENT(close, "once, twice, -1, huge") {
  Pair pair;
  const int fd = dup(pair.reader());
  const long first = close(fd);
  const long second = Result(close(fd)).error;
  const long minus = Result(close(-1)).error;
  const long huge = Result(close(0x7fffffff)).error;
  return {0, 0, Numbers({first, second, minus, huge})};
}
TRANSPARENT(close, "the number is given again, for something else") {
  Pair old(SOCK_STREAM);
  const int number = old.reader();
  SetTimeout(number, SO_RCVTIMEO, 1);
  char data;
  const long before = Result(read(number, &data, 1)).error;
  old.CloseReader();
  Pair fresh;
  const bool again = fresh.reader() == number;
  Later(20, [fd = fresh.writer()] { (void)!write(fd, "x", 1); });
  return Result(read(fresh.reader(), &data, 1), Numbers({before, again}));
}
TRANSPARENT(dup, "flags and timeouts are shared") {
  Pair pair(SOCK_STREAM);
  const Fd other(dup(pair.reader()));
  fcntl(other, F_SETFL, O_NONBLOCK);
  char data;
  const long nonblocking = Result(read(pair.reader(), &data, 1)).error;
  const long flags = fcntl(pair.reader(), F_GETFL) & O_NONBLOCK;
  fcntl(pair.reader(), F_SETFL, 0);
  SetTimeout(pair.reader(), SO_RCVTIMEO, 20);
  const long timeout = Result(recv(other, &data, 1, 0)).error;
  pair.CloseReader();
  const long still = Result(recv(other, &data, 1, 0)).error;
  return {0, 0, Numbers({nonblocking, flags, timeout, still})};
}
TRANSPARENT(dup, "closed") { return Result(dup(kClosedFd)); }
TRANSPARENT(dup2, "over another descriptor") {
  Pair a, b;
  if (write(a.writer(), "a", 1) != 1) return {};
  const int result = dup2(a.reader(), b.reader());
  char data = '?';
  const ssize_t got = read(b.reader(), &data, 1);
  return Result(got, Numbers({result == b.reader(), data}));
}
TRANSPARENT(dup2, "itself, closed, negative") {
  Pair pair;
  const bool itself = dup2(pair.reader(), pair.reader()) == pair.reader();
  const long closed = Result(dup2(kClosedFd, pair.reader())).error;
  const long negative = Result(dup2(pair.reader(), -1)).error;
  const long closed_itself = Result(dup2(kClosedFd, kClosedFd)).error;
  const long alive = fcntl(pair.reader(), F_GETFD);
  return {0, 0, Numbers({itself, closed, negative, closed_itself, alive})};
}
TRANSPARENT(dup3, "close-on-exec, itself, flags that do not exist") {
  Pair a, b;
  const long done = dup3(a.reader(), b.reader(), O_CLOEXEC) == b.reader();
  const long flag = fcntl(b.reader(), F_GETFD);
  const long itself = Result(dup3(a.reader(), a.reader(), 0)).error;
  const long wrong = Result(dup3(a.reader(), b.reader(), O_APPEND)).error;
  return {0, 0, Numbers({done, flag, itself, wrong})};
}
TRANSPARENT(fcntl, "O_NONBLOCK is what the program set") {
  Pair pair(SOCK_STREAM);
  const long before = fcntl(pair.reader(), F_GETFL);
  fcntl(pair.reader(), F_SETFL, O_NONBLOCK);
  const long set = fcntl(pair.reader(), F_GETFL);
  char data;
  const long nonblocking = Result(read(pair.reader(), &data, 1)).error;
  fcntl(pair.reader(), F_SETFL, 0);
  const long after = fcntl(pair.reader(), F_GETFL);
  Later(20, [fd = pair.writer()] { (void)!write(fd, "x", 1); });
  return Result(read(pair.reader(), &data, 1), Numbers({before, set, nonblocking, after}));
}
TRANSPARENT(fcntl, "F_DUPFD, F_DUPFD_CLOEXEC") {
  Pair pair;
  const Fd high(fcntl(pair.reader(), F_DUPFD, 100));
  const Fd closing(fcntl(pair.reader(), F_DUPFD_CLOEXEC, 200));
  Later(20, [fd = pair.writer()] { (void)!write(fd, "xy", 2); });
  char data;
  const ssize_t got = read(high, &data, 1);
  return Result(got, Numbers({high >= 100, closing >= 200, fcntl(closing, F_GETFD)}));
}
TRANSPARENT(fcntl, "other commands reach the kernel") {
  Pair pair;
  const long size = fcntl(pair.writer(), F_SETPIPE_SZ, 8192);
  const long unknown = Result(fcntl(pair.reader(), 4711)).error;
  const long closed = Result(fcntl(kClosedFd, F_GETFL)).error;
  const long closed_set = Result(fcntl(kClosedFd, F_SETFL, O_NONBLOCK)).error;
  const long negative = Result(fcntl(pair.reader(), F_DUPFD, -1)).error;
  return {0, 0, Numbers({size, unknown, closed, closed_set, negative})};
}
TRANSPARENT(ioctl, "FIONBIO, FIONREAD, null, closed") {
  Pair pair(SOCK_STREAM);
  int on = 1, off = 0, available = -1;
  ioctl(pair.reader(), FIONBIO, &on);
  char data;
  const long nonblocking = Result(read(pair.reader(), &data, 1)).error;
  const long flags = fcntl(pair.reader(), F_GETFL);
  ioctl(pair.reader(), FIONBIO, &off);
  if (write(pair.writer(), "abc", 3) != 3) return {};
  ioctl(pair.reader(), FIONREAD, &available);
  int* nowhere = nullptr;
  const long null = Result(ioctl(pair.reader(), FIONBIO, nowhere)).error;
  const long closed = Result(ioctl(kClosedFd, FIONBIO, &on)).error;
  return {0, 0,
          Numbers({nonblocking, flags, fcntl(pair.reader(), F_GETFL), available, null, closed})};
}
TRANSPARENT(pipe, "both ends block; null") {
  Pair pair;
  int* nowhere = nullptr;
  const long null = Result(pipe(nowhere)).error;
  return {0, 0, Numbers({fcntl(pair.reader(), F_GETFL), fcntl(pair.writer(), F_GETFL), null})};
}
TRANSPARENT(pipe2, "flags, and flags that do not exist") {
  int ends[2] = {-1, -1};
  const int result = pipe2(ends, O_NONBLOCK | O_CLOEXEC);
  const Fd reader(ends[0]), writer(ends[1]);
  char data;
  const long empty = Result(read(reader, &data, 1)).error;
  const long wrong = Result(pipe2(ends, O_APPEND)).error;
  return {result, 0, Numbers({fcntl(reader, F_GETFL), fcntl(writer, F_GETFD), empty, wrong})};
}
TRANSPARENT(pipe2, "packets") {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_DIRECT) != 0) return Result(-1);
  const Fd reader(ends[0]), writer(ends[1]);
  if (write(writer, "abc", 3) != 3 || write(writer, "de", 2) != 2) return {};
  char data[16];
  const ssize_t first = read(reader, data, sizeof data);
  const ssize_t second = read(reader, data, sizeof data);
  return Result(first * 10 + second);
}
TRANSPARENT(fstat, "a pipe, a directory, closed") {
  Pair pair;
  const Fd directory(open("/", O_RDONLY));
  struct stat one {
  }, two{};
  fstat(pair.reader(), &one);
  fstat(directory, &two);
  const long closed = Result(fstat(kClosedFd, &one)).error;
  return {0, 0, Numbers({one.st_mode & S_IFMT, two.st_mode & S_IFMT, closed})};
}
TRANSPARENT(__fxstat, "a pipe, closed") {
  Pair pair;
  struct stat status {};
  const long result = __fxstat(1, pair.reader(), &status);
  const long closed = Result(__fxstat(1, kClosedFd, &status)).error;
  return {0, 0, Numbers({result, status.st_mode & S_IFMT, closed})};
}
TRANSPARENT(lseek, "a pipe, a file, closed") {
  Pair pair;
  const Fd directory(open("/", O_RDONLY));
  const long pipe = Result(lseek(pair.reader(), 0, SEEK_CUR)).error;
  const long start = lseek(directory, 0, SEEK_SET);
  const long closed = Result(lseek(kClosedFd, 0, SEEK_SET)).error;
  return {0, 0, Numbers({pipe, start, closed})};
}
TRANSPARENT(isatty, "a pipe, closed") {
  Pair pair;
  const long result = isatty(pair.reader());
  const long error = errno;
  const long closed = isatty(kClosedFd);
  return {0, 0, Numbers({result, error, closed, errno})};
}

}  // namespace
}  // namespace cogi::hooks::transparency
