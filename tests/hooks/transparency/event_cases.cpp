#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <climits>
#include <csignal>
#include <initializer_list>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

std::string Numbers(std::initializer_list<long> numbers) {
  std::string text;
  for (const long number : numbers) text += std::to_string(number) + " ";
  return text;
}

void WriteLater(int fd, int milliseconds) {
  Later(milliseconds, [fd] { (void)!write(fd, "x", 1); });
}

int Watch(int epoll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// --- epoll

TRANSPARENT(epoll_create, "and a size of zero") {
  const Fd epoll(epoll_create(1));
  return {epoll >= 0, 0, Numbers({Result(epoll_create(0)).error, fcntl(epoll, F_GETFD)})};
}
TRANSPARENT(epoll_create1, "close-on-exec, and flags that do not exist") {
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  return {fcntl(epoll, F_GETFD), 0, Numbers({Result(epoll_create1(1)).error})};
}
TRANSPARENT(epoll_ctl, "twice, absent, a file, closed, itself, null") {
  const Fd epoll(epoll_create1(0)), directory(open("/", O_RDONLY));
  Pair pair;
  epoll_event* nowhere = nullptr;
  return {Watch(epoll, pair.reader(), EPOLLIN), 0,
          Numbers({Result(Watch(epoll, pair.reader(), EPOLLIN)).error,
                   Result(epoll_ctl(epoll, EPOLL_CTL_DEL, pair.writer(), nullptr)).error,
                   Result(Watch(epoll, directory, EPOLLIN)).error,
                   Result(Watch(epoll, kClosedFd, EPOLLIN)).error,
                   Result(Watch(epoll, epoll, EPOLLIN)).error,
                   Result(Watch(kClosedFd, epoll, EPOLLIN)).error,
                   Result(epoll_ctl(epoll, EPOLL_CTL_ADD, pair.writer(), nowhere)).error})};
}
TRANSPARENT(epoll_wait, "now, later, again while it is ready, never") {
  const Fd epoll(epoll_create1(0));
  Pair a, b;
  Watch(epoll, a.reader(), EPOLLIN);
  Watch(epoll, b.writer(), EPOLLOUT | EPOLLONESHOT);
  epoll_event events[4]{};
  const long now = epoll_wait(epoll, events, 4, 1000);
  WriteLater(a.writer(), 20);
  const long later = epoll_wait(epoll, events, 4, 5000);
  const long from = events[0].data.fd == a.reader();
  const long again = epoll_wait(epoll, events, 4, -1);
  char data;
  const long got = read(a.reader(), &data, 1);
  const long never = epoll_wait(epoll, events, 4, 20);
  const long zero = epoll_wait(epoll, events, 4, 0);
  WriteLater(a.writer(), 10);
  const long second = epoll_wait(epoll, events, 4, 5000);
  return {now, 0, Numbers({later, from, again, got, never, zero, second})};
}
TRANSPARENT(epoll_wait, "no epoll, closed, no room") {
  const Fd epoll(epoll_create1(0));
  Pair pair;
  epoll_event event{};
  return {0, 0,
          Numbers({Result(epoll_wait(pair.reader(), &event, 1, 10)).error,
                   Result(epoll_wait(kClosedFd, &event, 1, 10)).error,
                   Result(epoll_wait(epoll, &event, 0, 10)).error,
                   Result(epoll_wait(epoll, &event, -1, 10)).error})};
}
TRANSPARENT(epoll_pwait, "an edge, later") {
  const Fd epoll(epoll_create1(0));
  Pair pair(SOCK_STREAM);
  Watch(epoll, pair.reader(), EPOLLIN | EPOLLET);
  WriteLater(pair.writer(), 20);
  epoll_event event{};
  const long first = epoll_pwait(epoll, &event, 1, 5000, nullptr);
  const long second = epoll_pwait(epoll, &event, 1, 20, nullptr);
  return {first, 0, Numbers({second})};
}
TRANSPARENT(epoll_pwait2, "nanoseconds, for ever, out of range") {
  const Fd epoll(epoll_create1(0));
  Pair pair;
  Watch(epoll, pair.reader(), EPOLLIN);
  const timespec little{0, 15'000'000}, wrong{0, 1'000'000'000};
  epoll_event event{};
  const long timeout = epoll_pwait2(epoll, &event, 1, &little, nullptr);
  WriteLater(pair.writer(), 20);
  const long forever = epoll_pwait2(epoll, &event, 1, nullptr, nullptr);
  return {timeout, 0,
          Numbers({forever, Result(epoll_pwait2(epoll, &event, 1, &wrong, nullptr)).error})};
}

// --- descriptors that report events

TRANSPARENT(eventfd, "a semaphore, non-blocking, flags that do not exist") {
  const Fd event(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
  uint64_t one = 0;
  const long first = read(event, &one, sizeof one);
  return {first, 0,
          Numbers({static_cast<long>(one), read(event, &one, sizeof one),
                   Result(read(event, &one, sizeof one)).error, Result(read(event, &one, 4)).error,
                   Result(eventfd(0, 1 << 20)).error, fcntl(event, F_GETFL)})};
}
TRANSPARENT(eventfd_read, "counted up later") {
  const Fd event(eventfd(0, 0));
  Later(20, [fd = static_cast<int>(event)] { eventfd_write(fd, 7); });
  eventfd_t value = 0;
  const long got = eventfd_read(event, &value);
  return {got, 0,
          Numbers({static_cast<long>(value), Result(eventfd_read(kClosedFd, &value)).error})};
}
TRANSPARENT(eventfd_write, "full until somebody reads; the value that is none") {
  const Fd event(eventfd(0, 0));
  const long full = eventfd_write(event, ULLONG_MAX - 1);
  Later(20, [fd = static_cast<int>(event)] {
    eventfd_t value = 0;
    eventfd_read(fd, &value);
  });
  const long then = eventfd_write(event, 5);
  return {full, 0, Numbers({then, Result(eventfd_write(event, ULLONG_MAX)).error})};
}
TRANSPARENT(timerfd_create, "a timer that fires, and clocks that do not exist") {
  const Fd timer(timerfd_create(CLOCK_MONOTONIC, 0));
  itimerspec setting{};
  setting.it_value.tv_nsec = 20'000'000;
  timerfd_settime(timer, 0, &setting, nullptr);
  uint64_t fired = 0;
  const long got = read(timer, &fired, sizeof fired);
  return {got, 0, Numbers({static_cast<long>(fired), Result(timerfd_create(4711, 0)).error})};
}
TRANSPARENT(signalfd, "a signal of this thread, a changed mask, no signalfd") {
  sigset_t mask, old;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &mask, &old);
  const Fd signals(signalfd(-1, &mask, 0));
  Later(20, [process = getpid(), thread = gettid()] { tgkill(process, thread, SIGUSR2); });
  signalfd_siginfo info{};
  const long got = read(signals, &info, sizeof info);
  const long changed = signalfd(signals, &mask, 0) == signals;
  Pair pair;
  const long wrong = Result(signalfd(pair.reader(), &mask, 0)).error;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return {got, 0, Numbers({info.ssi_signo, changed, wrong})};
}
TRANSPARENT(inotify_init, "an event that comes later") {
  const Fd watch(inotify_init());
  inotify_add_watch(watch, "/tmp", IN_CREATE);
  Later(20, [] {
    char name[] = "/tmp/cogi-inotify-XXXXXX";
    close(mkstemp(name));
    unlink(name);
  });
  alignas(inotify_event) char data[4096];
  const long got = read(watch, data, sizeof data);
  return {got > 0, 0, ""};
}
TRANSPARENT(inotify_init1, "non-blocking, flags that do not exist") {
  const Fd watch(inotify_init1(IN_NONBLOCK));
  char data[4096];
  return {Result(read(watch, data, sizeof data)).error, 0,
          Numbers({Result(inotify_init1(1)).error})};
}
TRANSPARENT(memfd_create, "a file in memory, flags that do not exist") {
  const Fd file(memfd_create("cogi", MFD_CLOEXEC));
  const long put = write(file, "abc", 3);
  char data[8];
  return {put, 0,
          Numbers({pread(file, data, sizeof data, 1), read(file, data, sizeof data),
                   Result(memfd_create("cogi", 1U << 31)).error})};
}

// --- several messages

TRANSPARENT(recvmmsg, "two now, then MSG_WAITFORONE, then a timeout between messages") {
  Pair pair(SOCK_DGRAM);
  char one[8], two[8];
  iovec pieces[2] = {{one, 8}, {two, 8}};
  mmsghdr messages[2]{};
  messages[0].msg_hdr.msg_iov = &pieces[0];
  messages[1].msg_hdr.msg_iov = &pieces[1];
  messages[0].msg_hdr.msg_iovlen = messages[1].msg_hdr.msg_iovlen = 1;
  Later(20, [fd = pair.writer()] { (void)!(write(fd, "abc", 3) + write(fd, "de", 2)); });
  const long both = recvmmsg(pair.reader(), messages, 2, 0, nullptr);
  const long lengths = messages[0].msg_len * 10 + messages[1].msg_len;
  WriteLater(pair.writer(), 20);
  const long single = recvmmsg(pair.reader(), messages, 2, MSG_WAITFORONE, nullptr);
  const long empty = Result(recvmmsg(pair.reader(), messages, 2, MSG_DONTWAIT, nullptr)).error;
  SetTimeout(pair.reader(), SO_RCVTIMEO, 10);
  const long timeout = Result(recvmmsg(pair.reader(), messages, 2, 0, nullptr)).error;
  timespec wrong{0, -1}, wait{0, 1'000'000};
  const long range = Result(recvmmsg(pair.reader(), messages, 2, 0, &wrong)).error;
  Later(20, [fd = pair.writer()] { (void)!(write(fd, "a", 1) + write(fd, "b", 1)); });
  SetTimeout(pair.reader(), SO_RCVTIMEO, 0);
  const long late = recvmmsg(pair.reader(), messages, 2, 0, &wait);
  return {both, 0,
          Numbers({lengths, single, empty, timeout, range, late, wait.tv_sec, wait.tv_nsec})};
}
TRANSPARENT(recvmmsg, "no socket, none wanted, null") {
  Pair pair(SOCK_DGRAM), pipe;
  mmsghdr message{};
  mmsghdr* nowhere = nullptr;
  return {recvmmsg(pair.reader(), &message, 0, 0, nullptr), 0,
          Numbers({Result(recvmmsg(pipe.reader(), &message, 1, 0, nullptr)).error,
                   Result(recvmmsg(pair.reader(), nowhere, 1, 0, nullptr)).error})};
}
TRANSPARENT(sendmmsg, "more than the receiver holds, who then reads; errors") {
  Pair pair(SOCK_DGRAM), pipe;
  Later(20, [fd = dup(pair.reader())] {
    char data[8];
    for (int i = 0; i < 30; ++i) {
      if (read(fd, data, sizeof data) < 0) break;
    }
    close(fd);
  });
  char byte = 'x';
  iovec piece{&byte, 1};
  std::vector<mmsghdr> messages(30);
  for (mmsghdr& message : messages) {
    message = {};
    message.msg_hdr.msg_iov = &piece;
    message.msg_hdr.msg_iovlen = 1;
  }
  const long sent = sendmmsg(pair.writer(), messages.data(), 30, 0);
  mmsghdr* nowhere = nullptr;
  return {
      sent, 0,
      Numbers({messages[29].msg_len, Result(sendmmsg(pipe.writer(), messages.data(), 1, 0)).error,
               Result(sendmmsg(pair.writer(), nowhere, 1, 0)).error})};
}

// --- moving data inside the kernel

Fd LongFile(size_t size) {
  Fd file(memfd_create("cogi", 0));
  const std::string data(size, 'x');
  (void)!write(file, data.data(), data.size());
  lseek(file, 0, SEEK_SET);
  return Fd(dup(file));
}

void DrainLater(int fd, int milliseconds) {
  Later(milliseconds, [own = dup(fd)] {
    char data[65536];
    while (read(own, data, sizeof data) > 0) {
    }
    close(own);
  });
}

TRANSPARENT(sendfile, "two megabytes to a socket, drained slowly, by position and by offset") {
  Pair pair(SOCK_STREAM);
  DrainLater(pair.reader(), 20);
  const Fd file = LongFile(2 << 20);
  const long by_position = sendfile(pair.writer(), file, nullptr, 1 << 20);
  const long position = lseek(file, 0, SEEK_CUR);
  off_t offset = 1'000'000;
  const long by_offset = sendfile(pair.writer(), file, &offset, 1 << 22);
  shutdown(pair.writer(), SHUT_WR);
  return {by_position, 0, Numbers({position, by_offset, offset, lseek(file, 0, SEEK_CUR)})};
}
TRANSPARENT(sendfile, "a peer that has gone, non-blocking and full, bad descriptors") {
  Pair gone(SOCK_STREAM), full(SOCK_STREAM);
  gone.CloseReader();
  SetNonblocking(full.writer());
  const Fd file = LongFile(1 << 22);
  const long epipe = Result(sendfile(gone.writer(), file, nullptr, 10)).error;
  const long part = sendfile(full.writer(), file, nullptr, 1 << 22) > 0;
  return {epipe, 0,
          Numbers({part, Result(sendfile(full.writer(), file, nullptr, 1 << 20)).error,
                   Result(sendfile(kClosedFd, file, nullptr, 1)).error,
                   Result(sendfile(full.writer(), kClosedFd, nullptr, 1)).error})};
}
TRANSPARENT(splice, "a socket into a pipe, later; into a full pipe; the end") {
  Pair source(SOCK_STREAM), pipe;
  WriteLater(source.writer(), 20);
  const long later = splice(source.reader(), nullptr, pipe.writer(), nullptr, 100, 0);
  shutdown(source.writer(), SHUT_WR);
  const long end = splice(source.reader(), nullptr, pipe.writer(), nullptr, 100, 0);
  Pair empty;
  const long nothing =
      Result(splice(empty.reader(), nullptr, pipe.writer(), nullptr, 10, SPLICE_F_NONBLOCK)).error;
  Pair sockets(SOCK_STREAM);
  const long no_pipe =
      Result(splice(sockets.reader(), nullptr, sockets.writer(), nullptr, 10, 0)).error;
  const long closed = Result(splice(kClosedFd, nullptr, pipe.writer(), nullptr, 10, 0)).error;
  return {later, 0, Numbers({end, nothing, no_pipe, closed})};
}
TRANSPARENT(tee, "a pipe into a pipe, later; no pipe") {
  Pair from, to, sockets(SOCK_STREAM);
  WriteLater(from.writer(), 20);
  const long copied = tee(from.reader(), to.writer(), 10, 0);
  char data;
  return {copied, 0,
          Numbers({read(from.reader(), &data, 1), read(to.reader(), &data, 1),
                   Result(tee(sockets.reader(), to.writer(), 1, 0)).error,
                   Result(tee(from.reader(), to.writer(), 1, SPLICE_F_NONBLOCK)).error})};
}
TRANSPARENT(vmsplice, "into a pipe, full until somebody reads") {
  Pair pipe;
  DrainLater(pipe.reader(), 20);
  const std::string data(1 << 18, 'x');
  const iovec piece{const_cast<char*>(data.data()), data.size()};
  long total = 0;
  iovec rest = piece;
  while (rest.iov_len > 0) {
    const ssize_t put = vmsplice(pipe.writer(), &rest, 1, 0);
    if (put <= 0) return Result(put);
    total += put;
    rest = {static_cast<char*>(rest.iov_base) + put, rest.iov_len - static_cast<size_t>(put)};
  }
  pipe.CloseWriter();
  return {total, 0, Numbers({Result(vmsplice(kClosedFd, &piece, 1, 0)).error})};
}

// --- closing many

TRANSPARENT(close_range, "some, none, the wrong way round, flags") {
  int fds[4];
  for (int& fd : fds) fd = fcntl(0, F_DUPFD, 300);
  const long done = close_range(static_cast<unsigned>(fds[1]), static_cast<unsigned>(fds[2]), 0);
  const long middle = Result(fcntl(fds[1], F_GETFD)).error;
  const long cloexec = close_range(static_cast<unsigned>(fds[3]), static_cast<unsigned>(fds[3]), 4);
  const long flag = fcntl(fds[3], F_GETFD);
  const long wrong = Result(close_range(10, 5, 0)).error;
  const long flags = Result(close_range(4000, 4001, 1 << 20)).error;
  close(fds[0]);
  close(fds[3]);
  return {done, 0, Numbers({middle, cloexec, flag, wrong, flags})};
}
TRANSPARENT(closefrom, "everything from a number on") {
  const int fd = fcntl(0, F_DUPFD, 600);
  closefrom(600);
  return {Result(fcntl(fd, F_GETFD)).error, 0, ""};
}

}  // namespace
}  // namespace cogi::hooks::transparency
