#include <sys/select.h>
#include <time.h>

#include <algorithm>
#include <climits>

#include "tests/hooks/transparency/suite.h"

namespace cogi::hooks::transparency {
namespace {

std::string Numbers(std::initializer_list<long> numbers) {
  std::string text;
  for (const long number : numbers) text += std::to_string(number) + " ";
  return text;
}

int64_t Milliseconds(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void WriteLater(int fd, int milliseconds) {
  Later(milliseconds, [fd] { (void)!write(fd, "x", 1); });
}

// --- poll, ppoll

TRANSPARENT(poll, "ready now, ready later, never") {
  Pair a, b;
  pollfd fds[] = {{a.reader(), POLLIN, 0}, {b.writer(), POLLOUT, 0}};
  const int now = poll(fds, 2, 1000);
  const long now_events = fds[0].revents * 100 + fds[1].revents;
  WriteLater(a.writer(), 20);
  const int later = poll(fds, 1, 5000);
  const int never = poll(fds + 0, 0, 20);
  return {now, 0, Numbers({now_events, later, fds[0].revents, never})};
}
TRANSPARENT(poll, "timeout leaves no events; zero does not wait; negative waits") {
  Pair pair;
  pollfd one{pair.reader(), POLLIN, 77};
  const int timeout = poll(&one, 1, 20);
  const long left = one.revents;
  const int zero = poll(&one, 1, 0);
  WriteLater(pair.writer(), 20);
  const int forever = poll(&one, 1, -5);
  return {timeout, 0, Numbers({left, zero, forever, one.revents})};
}
TRANSPARENT(poll, "closed, negative, the same twice, hang-up, error") {
  Pair gone, broken, twice;
  gone.CloseWriter();
  broken.CloseReader();
  if (write(twice.writer(), "x", 1) != 1) return {};
  pollfd fds[] = {{kClosedFd, POLLIN, 0},      {-1, POLLIN, 5},
                  {gone.reader(), POLLIN, 0},  {broken.writer(), POLLOUT, 0},
                  {twice.reader(), POLLIN, 0}, {twice.reader(), POLLIN | POLLRDNORM, 0},
                  {gone.reader(), 0, 0}};
  const int ready = poll(fds, 7, 1000);
  std::string events;
  for (const pollfd& one : fds) events += std::to_string(one.revents) + " ";
  return Result(ready, events);
}
TRANSPARENT(poll, "a hang-up while it waits") {
  Pair pair(SOCK_STREAM);
  Later(20, [fd = pair.writer()] { shutdown(fd, SHUT_RDWR); });
  pollfd one{pair.reader(), POLLIN | POLLRDHUP, 0};
  const int ready = poll(&one, 1, 5000);
  return Result(ready, std::to_string(one.revents));
}
TRANSPARENT(poll, "twice in a row for the same data") {
  Pair pair;
  WriteLater(pair.writer(), 20);
  pollfd one{pair.reader(), POLLIN, 0};
  const int first = poll(&one, 1, 5000);
  const int second = poll(&one, 1, 5000);
  char data;
  const ssize_t got = read(pair.reader(), &data, 1);
  const int third = poll(&one, 1, 10);
  return {0, 0, Numbers({first, second, got, third})};
}
TRANSPARENT(poll, "files and devices are ready; null; too many") {
  const Fd directory(open("/", O_RDONLY)), null(open("/dev/null", O_RDWR));
  pollfd fds[] = {{directory, POLLIN, 0}, {null, POLLIN | POLLOUT, 0}};
  const int ready = poll(fds, 2, 1000);
  pollfd* nowhere = nullptr;
  const long fault = Result(poll(nowhere, 1, 10)).error;
  const long many = kSanitized ? EINVAL : Result(poll(fds, ULONG_MAX, 10)).error;
  return {ready, 0, Numbers({fds[0].revents, fds[1].revents, fault, many})};
}
TRANSPARENT(poll, "a timeout beyond 2^31 milliseconds is not cut short") {
  Pair pair;
  WriteLater(pair.writer(), 20);
  pollfd one{pair.reader(), POLLIN, 0};
  return Result(poll(&one, 1, INT_MAX));
}
TRANSPARENT(ppoll, "nanoseconds, for ever, out of range") {
  Pair pair;
  pollfd one{pair.reader(), POLLIN, 0};
  const timespec little{0, 20'000'000}, wrong{0, 1'000'000'000}, negative{-1, 0};
  const int timeout = ppoll(&one, 1, &little, nullptr);
  WriteLater(pair.writer(), 20);
  const int forever = ppoll(&one, 1, nullptr, nullptr);
  const long range = Result(ppoll(&one, 1, &wrong, nullptr)).error;
  const long past = Result(ppoll(&one, 1, &negative, nullptr)).error;
  return {timeout, 0, Numbers({forever, range, past})};
}

// --- select, pselect

TRANSPARENT(select, "read, write and except sets") {
  Pair a, b;
  WriteLater(a.writer(), 20);
  fd_set read_set, except_set;
  FD_ZERO(&read_set);
  FD_ZERO(&except_set);
  FD_SET(a.reader(), &read_set);
  FD_SET(b.reader(), &read_set);
  FD_SET(a.reader(), &except_set);
  const int ready =
      select(std::max(a.reader(), b.reader()) + 1, &read_set, nullptr, &except_set, nullptr);
  const long in_a = FD_ISSET(a.reader(), &read_set), in_b = FD_ISSET(b.reader(), &read_set);
  fd_set write_set;
  FD_ZERO(&write_set);
  FD_SET(a.writer(), &write_set);
  timeval wait{1, 0};
  const int writable = select(a.writer() + 1, nullptr, &write_set, nullptr, &wait);
  return {ready, 0,
          Numbers({in_a, in_b, FD_ISSET(a.reader(), &except_set), writable, wait.tv_sec >= 0})};
}
TRANSPARENT(select, "a timeout clears the sets and the time") {
  Pair pair;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pair.reader(), &set);
  timeval wait{0, 20'000};
  const int ready = select(pair.reader() + 1, &set, nullptr, nullptr, &wait);
  return {ready, 0, Numbers({FD_ISSET(pair.reader(), &set), wait.tv_sec, wait.tv_usec})};
}
TRANSPARENT(select, "only a sleep; zero; no descriptors counted") {
  timeval wait{0, 10'000}, zero{0, 0};
  const int slept = select(0, nullptr, nullptr, nullptr, &wait);
  Pair pair;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pair.reader(), &set);
  const int now = select(pair.reader() + 1, &set, nullptr, nullptr, &zero);
  return {slept, 0, Numbers({now})};
}
TRANSPARENT(select, "the end of a pipe is readable, the broken one writable") {
  Pair gone, broken;
  gone.CloseWriter();
  broken.CloseReader();
  fd_set read_set, write_set;
  FD_ZERO(&read_set);
  FD_ZERO(&write_set);
  FD_SET(gone.reader(), &read_set);
  FD_SET(broken.writer(), &write_set);
  return Result(select(64, &read_set, &write_set, nullptr, nullptr));
}
TRANSPARENT(select, "bad arguments") {
  timeval negative{-1, 0}, small_negative{0, -1};
  const long time = Result(select(0, nullptr, nullptr, nullptr, &negative)).error;
  const long microseconds = Result(select(0, nullptr, nullptr, nullptr, &small_negative)).error;
  timeval wait{0, 10'000};
  const long limit = Result(select(-1, nullptr, nullptr, nullptr, &wait)).error;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(60, &set);  // not open
  const long closed = Result(select(61, &set, nullptr, nullptr, &wait)).error;
  return {0, 0, Numbers({time, microseconds, limit, closed})};
}
TRANSPARENT(pselect, "ready later, timeout, out of range") {
  Pair pair;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pair.reader(), &set);
  const timespec little{0, 15'000'000}, wrong{0, 1'000'000'000};
  const int timeout = pselect(pair.reader() + 1, &set, nullptr, nullptr, &little, nullptr);
  FD_SET(pair.reader(), &set);
  WriteLater(pair.writer(), 20);
  const int ready = pselect(pair.reader() + 1, &set, nullptr, nullptr, nullptr, nullptr);
  const long range = Result(pselect(0, nullptr, nullptr, nullptr, &wrong, nullptr)).error;
  return {timeout, 0, Numbers({ready, range, little.tv_nsec})};
}

// --- sleep

TRANSPARENT(sleep, "zero and a second") {
  const int64_t start = Milliseconds();
  const unsigned zero = sleep(0);
  const unsigned one = sleep(1);
  return {0, 0, Numbers({zero, one, Milliseconds() - start >= 1000})};
}
TRANSPARENT(usleep, "zero and some, more than a second's worth is allowed") {
  const int64_t start = Milliseconds();
  const long zero = usleep(0), some = usleep(20'000);
  return {0, 0, Numbers({zero, some, Milliseconds() - start >= 20})};
}
TRANSPARENT(nanosleep, "some, zero, out of range, null") {
  const int64_t start = Milliseconds();
  const timespec some{0, 20'000'000}, zero{0, 0}, wrong{0, 1'000'000'000}, negative{-1, 0};
  const timespec* null = nullptr;
  timespec left{7, 7};
  const long slept = nanosleep(&some, &left);
  const long passed = Milliseconds() - start >= 20;
  return {
      slept, 0,
      Numbers({passed, left.tv_sec, nanosleep(&zero, nullptr),
               Result(nanosleep(&wrong, &left)).error, Result(nanosleep(&negative, &left)).error,
               Result(nanosleep(null, nullptr)).error})};
}
TRANSPARENT(clock_nanosleep, "relative and absolute, by each clock") {
  std::string results;
  for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI}) {
    const int64_t start = Milliseconds(clock);
    const timespec some{0, 10'000'000};
    results += std::to_string(clock_nanosleep(clock, 0, &some, nullptr)) + " ";
    timespec until{};
    clock_gettime(clock, &until);
    until.tv_nsec += 10'000'000;
    if (until.tv_nsec >= 1'000'000'000) until = {until.tv_sec + 1, until.tv_nsec - 1'000'000'000};
    results += std::to_string(clock_nanosleep(clock, TIMER_ABSTIME, &until, nullptr)) + " ";
    const timespec past{1, 0};
    results += std::to_string(clock_nanosleep(clock, TIMER_ABSTIME, &past, nullptr)) + " ";
    results += Milliseconds(clock) - start >= 20 ? "slept " : "early ";
  }
  return {0, 0, results};
}
TRANSPARENT(clock_nanosleep, "clocks that cannot, clocks that do not exist, bad times") {
  const timespec some{0, 1'000'000}, wrong{0, -1};
  return {0, 0,
          Numbers({clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &some, nullptr),
                   clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &some, nullptr),
                   clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &some, nullptr),
                   clock_nanosleep(4711, 0, &some, nullptr),
                   clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, nullptr)})};
}

}  // namespace
}  // namespace cogi::hooks::transparency
