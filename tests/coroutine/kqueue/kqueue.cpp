// kqueue() and kevent() made of epoll. Each filter has an epoll instance of its own, so that one
// direction's edges say nothing of the other's; the queue's descriptor is a third kind of epoll, of
// these. close() is this program's own too: a queue is given back by it, and a number that is
// closed leaves all queues, as the kernel does it.
//
// Unlike the real one it can report a filter again that has been reported and has not changed, when
// epoll does (an edge of the same direction); and of a socket's error it says that there is one,
// not which.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace {

int RealClose(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }

int64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

constexpr std::array<std::pair<int, uint32_t>, 3> kFilters{
    {{EVFILT_READ, EPOLLIN | EPOLLRDHUP}, {EVFILT_WRITE, EPOLLOUT}, {EVFILT_EXCEPT, EPOLLPRI}}};

int IndexOf(int filter) {
  for (size_t i = 0; i < kFilters.size(); ++i) {
    if (kFilters[i].first == filter) return static_cast<int>(i);
  }
  return -1;
}

class Queue {
 public:
  Queue() {
    queue = epoll_create1(EPOLL_CLOEXEC);
    user_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < kFilters.size(); ++i) {
      of_filter_[i] = epoll_create1(EPOLL_CLOEXEC);
      Watch(queue, of_filter_[i], EPOLLIN, i);
    }
    Watch(queue, user_, EPOLLIN, kFilters.size());
  }
  ~Queue() {
    for (const int fd : {of_filter_[0], of_filter_[1], of_filter_[2], user_}) RealClose(fd);
  }

  // Returns an errno.
  int Change(const struct kevent& change) {
    if (change.filter == EVFILT_USER) return ChangeUser(change);
    const int index = IndexOf(change.filter);
    if (index < 0 || change.flags & ~(EV_ADD | EV_DELETE | EV_CLEAR | EV_RECEIPT)) return EINVAL;
    const auto fd = static_cast<int>(change.ident);
    if (fcntl(fd, F_GETFD) < 0) return EBADF;
    const std::lock_guard lock(mutex_);
    const auto key = std::pair(fd, index);
    if ((change.flags & EV_DELETE) != 0) {
      if (notes_.erase(key) == 0) return ENOENT;
      return epoll_ctl(of_filter_[static_cast<size_t>(index)], EPOLL_CTL_DEL, fd, nullptr) != 0
                 ? errno
                 : 0;
    }
    if (change.filter == EVFILT_WRITE && IsPipeWithoutReader(fd)) return EPIPE;
    epoll_event event{};
    event.events = kFilters[static_cast<size_t>(index)].second;
    if ((change.flags & EV_CLEAR) != 0) event.events |= EPOLLET;
    event.data.fd = fd;
    const int operation = notes_.contains(key) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(of_filter_[static_cast<size_t>(index)], operation, fd, &event) != 0) return errno;
    notes_[key] = change.udata;
    return 0;
  }

  int Wait(struct kevent* events, int room, const timespec* wait) {
    const int64_t deadline =
        wait == nullptr ? INT64_MAX : Now() + wait->tv_sec * 1'000'000'000 + wait->tv_nsec;
    for (;;) {
      std::array<epoll_event, 4> ready;
      const int64_t left = std::max<int64_t>(0, deadline - Now());
      const int count = WaitFor(ready, wait == nullptr ? -1 : left);
      if (count < 0) return -1;
      int reported = 0;
      for (int i = 0; i < count; ++i)
        reported +=
            Collect(ready[static_cast<size_t>(i)].data.u64, events + reported, room - reported);
      if (reported > 0 || (wait != nullptr && Now() >= deadline)) return reported;
    }
  }

  void Closed(int fd) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < kFilters.size(); ++i) {
      if (notes_.erase({fd, static_cast<int>(i)}) != 0)
        epoll_ctl(of_filter_[i], EPOLL_CTL_DEL, fd, nullptr);
    }
  }

  int queue;

 private:
  static void Watch(int epoll, int fd, uint32_t events, uint64_t data) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  // Waits `left` ns, below 0 for ever. Valgrind does not know epoll_pwait2().
  int WaitFor(std::array<epoll_event, 4>& ready, int64_t left) const {
    const timespec length{left / 1'000'000'000, left % 1'000'000'000};
    const int count = epoll_pwait2(queue, ready.data(), 4, left < 0 ? nullptr : &length, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    return epoll_wait(queue, ready.data(), 4,
                      left < 0 ? -1 : static_cast<int>((left + 999'999) / 1'000'000));
  }

  static bool IsPipeWithoutReader(int fd) {
    struct stat status {};
    pollfd one{fd, 0, 0};
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && poll(&one, 1, 0) == 1 &&
           (one.revents & POLLERR) != 0;
  }

  int ChangeUser(const struct kevent& change) {
    const std::lock_guard lock(mutex_);
    if ((change.flags & EV_ADD) != 0) user_data_ = change.udata;
    if ((change.fflags & NOTE_TRIGGER) == 0) return 0;
    const uint64_t one = 1;
    return write(user_, &one, sizeof one) < 0 ? errno : 0;
  }

  // Fills in what one filter, or the user's event, has to report. Returns how many.
  int Collect(uint64_t index, struct kevent* events, int room) {
    if (room == 0) return 0;
    const std::lock_guard lock(mutex_);
    if (index == kFilters.size()) {
      uint64_t count = 0;
      if (read(user_, &count, sizeof count) < 0) return 0;
      *events = {0, EVFILT_USER, EV_CLEAR, 0, 0, user_data_};
      return 1;
    }
    std::array<epoll_event, 64> ready;
    const int count = epoll_wait(of_filter_[index], ready.data(), std::min(room, 64), 0);
    int reported = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = ready[static_cast<size_t>(i)];
      const auto [filter, wanted] = kFilters[index];
      const auto note = notes_.find({event.data.fd, static_cast<int>(index)});
      const bool failed = filter != EVFILT_EXCEPT && (event.events & (EPOLLERR | EPOLLHUP)) != 0;
      if (note == notes_.end() || ((event.events & wanted) == 0 && !failed)) continue;
      const bool ended = failed || (event.events & EPOLLRDHUP) != 0;
      events[reported++] = {static_cast<uintptr_t>(event.data.fd),
                            static_cast<int16_t>(filter),
                            static_cast<uint16_t>(ended ? EV_EOF : 0),
                            (event.events & EPOLLERR) != 0 ? static_cast<uint32_t>(EIO) : 0,
                            1,
                            note->second};
    }
    return reported;
  }

  std::mutex mutex_;
  int user_;
  void* user_data_ = nullptr;
  std::array<int, kFilters.size()> of_filter_;
  std::map<std::pair<int, int>, void*> notes_;  // by descriptor and filter
};

struct Queues {
  std::mutex mutex;
  std::map<int, std::shared_ptr<Queue>> by_descriptor;
};
Queues& AllQueues() {
  static auto& all = *new Queues;
  return all;
}

std::shared_ptr<Queue> Find(int queue) {
  const std::lock_guard lock(AllQueues().mutex);
  const auto found = AllQueues().by_descriptor.find(queue);
  return found == AllQueues().by_descriptor.end() ? nullptr : found->second;
}

}  // namespace

extern "C" {

int kqueue() noexcept {
  auto made = std::make_shared<Queue>();
  const std::lock_guard lock(AllQueues().mutex);
  AllQueues().by_descriptor[made->queue] = made;
  return made->queue;
}

int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const timespec* wait) noexcept {
  const std::shared_ptr<Queue> found = Find(queue);
  if (found == nullptr) {
    errno = EBADF;
    return -1;
  }
  int answers = 0;
  for (int i = 0; i < change_count; ++i) {
    struct kevent change = changes[i];
    const int error = found->Change(change);
    if (error == 0 && (change.flags & EV_RECEIPT) == 0) continue;
    if (answers == event_count) {
      errno = error;
      return -1;
    }
    change.flags |= EV_ERROR;
    change.data = error;
    events[answers++] = change;
  }
  return answers > 0 || event_count == 0 ? answers : found->Wait(events, event_count, wait);
}

int close(int fd) {
  std::shared_ptr<Queue> ended;
  {
    const std::lock_guard lock(AllQueues().mutex);
    auto& queues = AllQueues().by_descriptor;
    if (const auto found = queues.find(fd); found != queues.end()) {
      ended = found->second;
      queues.erase(found);
    }
    for (const auto& [number, queue] : queues) queue->Closed(fd);
  }
  return RealClose(fd);
}

}  // extern "C"
