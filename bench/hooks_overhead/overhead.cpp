// What a hooked call adds outside coroutines: each call is made through libcogi.so and straight
// from libc, in turns, on a thread without a scheduler and on the stack of one that has a
// scheduler. The unit is the round trip of Boost.Context's raw jump_fcontext of the same run; at
// most 1 is the goal.
//
//   bench_hooks_overhead   prints the table; status 1 if a call adds more.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bench/coroutine_runtime/boost_round_trip.h"
#include "coroutine/scheduler.h"

namespace {

using cogi::bench::BoostRoundTrip;
using cogi::bench::CpuSeconds;

// clang-format off
#define CALLS(X)                                                                                \
  X(read) X(write) X(readv) X(pread) X(recv) X(send) X(poll) X(fcntl) X(getsockopt) X(lseek)    \
  X(fstat) X(dup) X(close) X(pthread_mutex_lock) X(pthread_mutex_unlock) X(pthread_getspecific) \
  X(sem_wait) X(sem_post) X(malloc) X(free) X(getenv) X(socket) X(accept4) X(pipe2) X(eventfd)
// clang-format on

// The functions of one side, all called by pointer.
struct Functions {
#define MEMBER(name) decltype(&::name) name;
  CALLS(MEMBER)
};

Functions Hooked() {
  return {
#define OURS(name) &::name,
      CALLS(OURS)};
}

Functions Plain() {
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  const auto find = [libc](const char* name) {
    void* found = dlsym(libc, name);
    if (found == nullptr) abort();
    return found;
  };
  return {
#define LIBCS(name) reinterpret_cast<decltype(&::name)>(find(#name)),
      CALLS(LIBCS)};
}

constexpr int kCalls = 5'000, kRounds = 101;

template <class Call>
double SecondsOf(const Functions& functions, Call call) {
  const double start = CpuSeconds();
  for (int i = 0; i < kCalls; ++i) call(functions);
  return (CpuSeconds() - start) / kCalls;
}

// What other work on the machine adds is never negative: the best of many short rounds counts.
template <class Call>
double Added(Call call, double& plain) {
  static const Functions hooked = Hooked(), straight = Plain();
  double best = 1;
  plain = 1;
  for (int round = 0; round < kRounds; ++round) {
    plain = std::min(plain, SecondsOf(straight, call));
    best = std::min(best, SecondsOf(hooked, call));
  }
  return best - plain;
}

class Table {
 public:
  // A row for `calls` hooked calls that `call` makes.
  template <class Call>
  void Row(const char* name, int calls, Call call) {
    double plain = 0;
    const double bare = Added(call, plain) / calls;
    std::optional<cogi::coroutine::Scheduler> scheduler(std::in_place);
    double with = Added(call, plain) / calls;
    printf("%-32s%12.1f%12.1f%9.2f%18.1f%9.2f\n", name, plain * 1e9 / calls, bare * 1e9,
           bare / unit_, with * 1e9, with / unit_);
    worst_ = std::max({worst_, bare / unit_, with / unit_});
  }
  void Begin() const {
    printf("one round trip of jump_fcontext: %.1f ns; the goal is at most 1 of them a call\n",
           unit_ * 1e9);
    printf("%-32s%12s%12s%9s%18s%9s\n", "call, outside coroutines", "libc's ns", "added ns",
           "trips", "with a scheduler", "trips");
  }
  [[nodiscard]] double worst() const { return worst_; }

 private:
  double unit_ = BoostRoundTrip();
  double worst_ = 0;
};

void DescriptorRows(Table& table) {
  const int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
  int pair[2];
  if (zero < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) abort();
  char data[1] = {};
  const iovec piece{data, 1};
  pollfd one{pair[0], POLLIN, 0};
  struct stat status;
  const Functions libc = Plain();
  table.Row("read", 1, [&](const Functions& f) { f.read(zero, data, 1); });
  table.Row("write", 1, [&](const Functions& f) { f.write(zero, data, 1); });
  table.Row("readv", 1, [&](const Functions& f) { f.readv(zero, &piece, 1); });
  table.Row("pread", 1, [&](const Functions& f) { f.pread(zero, data, 1, 0); });
  table.Row("recv that finds nothing", 1,
            [&](const Functions& f) { f.recv(pair[0], data, 1, MSG_DONTWAIT); });
  while (send(pair[0], data, 1, MSG_DONTWAIT) == 1) continue;
  table.Row("send that finds no room", 1,
            [&](const Functions& f) { f.send(pair[0], data, 1, MSG_DONTWAIT); });
  table.Row("poll", 1, [&](const Functions& f) { f.poll(&one, 1, 0); });
  table.Row("fcntl", 1, [&](const Functions& f) { f.fcntl(zero, F_GETFL); });
  table.Row("getsockopt", 1, [&](const Functions& f) {
    int value = 0;
    socklen_t size = sizeof value;
    f.getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size);
  });
  table.Row("lseek", 1, [&](const Functions& f) { f.lseek(zero, 0, SEEK_CUR); });
  table.Row("fstat", 1, [&](const Functions& f) { f.fstat(zero, &status); });
  table.Row("dup, close by libc", 1, [&](const Functions& f) { libc.close(f.dup(zero)); });
  table.Row("close, dup by libc", 1, [&](const Functions& f) { f.close(libc.dup(zero)); });
  for (const int fd : {zero, pair[0], pair[1]}) close(fd);
}

// A pipe; and calls that make descriptors, where the kernel refuses: what they take when it does
// not, several microseconds, varies by more than a hook adds. What they do with one made, dup()
// does, too.
void MakingRows(Table& table) {
  int ends[2];
  char data[1] = {};
  if (Plain().pipe2(ends, O_CLOEXEC) != 0) abort();
  table.Row("write + read of a pipe", 2, [&](const Functions& f) {
    f.write(ends[1], data, 1);
    f.read(ends[0], data, 1);
  });
  table.Row("socket, refused", 1, [&](const Functions& f) { f.socket(-1, SOCK_STREAM, 0); });
  table.Row("accept4, refused", 1,
            [&](const Functions& f) { f.accept4(ends[0], nullptr, nullptr, 0); });
  table.Row("pipe2, refused", 1, [&](const Functions& f) {
    int made[2];
    f.pipe2(made, -1);
  });
  table.Row("eventfd, refused", 1, [&](const Functions& f) { f.eventfd(0, -1); });
  for (const int fd : ends) close(fd);
}

void OtherRows(Table& table) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_key_t key;
  sem_t semaphore;
  pthread_key_create(&key, nullptr);
  sem_init(&semaphore, 0, 0);
  table.Row("pthread_mutex_lock + unlock", 2, [&](const Functions& f) {
    f.pthread_mutex_lock(&mutex);
    f.pthread_mutex_unlock(&mutex);
  });
  table.Row("sem_post + sem_wait", 2, [&](const Functions& f) {
    f.sem_post(&semaphore);
    f.sem_wait(&semaphore);
  });
  table.Row("pthread_getspecific", 1, [&](const Functions& f) { f.pthread_getspecific(key); });
  table.Row("malloc + free", 2, [&](const Functions& f) { f.free(f.malloc(40)); });
  table.Row("getenv", 1, [&](const Functions& f) { f.getenv("PATH"); });
}

}  // namespace

int main() {
  Table table;
  table.Begin();
  DescriptorRows(table);
  MakingRows(table);
  OtherRows(table);
  printf("the most that a call adds: %.2f round trips\n", table.worst());
  return table.worst() <= 1 ? 0 : 1;
}
