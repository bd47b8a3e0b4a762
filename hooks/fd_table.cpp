#include "hooks/fd_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// Memory of our own from the kernel: malloc() may be accounting for a program.
void* NewPages(size_t size) noexcept {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

// Shared descriptions are never unmapped, so a thread that lost a race reads stale facts, not freed
// memory. The free list is guarded by a spin lock of a few instructions; a mutex would be one of
// our own hooks.
constinit std::atomic_flag g_free_lock;
constinit Description* g_free = nullptr;

class FreeListLock {
 public:
  FreeListLock() {
    while (g_free_lock.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~FreeListLock() { g_free_lock.clear(std::memory_order_release); }
};

int SocketOption(int fd, int option) noexcept {
  int value = -1;
  socklen_t size = sizeof value;
  return real::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

int64_t SocketTimeout(int fd, int option) noexcept {
  timeval value{};
  socklen_t size = sizeof value;
  if (real::getsockopt(fd, SOL_SOCKET, option, &value, &size) != 0) return 0;
  return value.tv_sec * 1'000'000 + value.tv_usec;
}

FdKind KindOf(mode_t mode, int fd) noexcept {
  switch (mode & S_IFMT) {
    case S_IFSOCK:
      return SocketOption(fd, SO_TYPE) == SOCK_STREAM ? FdKind::kStream : FdKind::kMessage;
    case S_IFIFO:
      return FdKind::kPipe;
    case S_IFREG:
    case S_IFDIR:
    case S_IFBLK:
      return FdKind::kFile;
    default:
      return FdKind::kPollable;
  }
}

void ClearNonblocking(int fd) noexcept {
  const int flags = real::fcntl(fd, F_GETFL, nullptr);
  if (flags >= 0)
    real::fcntl(fd, F_SETFL, reinterpret_cast<void*>(static_cast<intptr_t>(flags & ~O_NONBLOCK)));
}

// The clean-up of waiters concerns the calling thread's loop only.
void WakeWaiters(int fd) noexcept {
  if (coroutine::Scheduler::Current() != nullptr) coroutine::ForgetFd(fd);
}

}  // namespace

// Allocation of descriptions, for FdTable's functions.
namespace {

constexpr size_t kSlab = 256;

template <class Link>
Description* Take(Link next_free) noexcept {
  FreeListLock lock;
  if (g_free == nullptr) {
    auto* slab = static_cast<Description*>(NewPages(sizeof(Description) * kSlab));
    if (slab == nullptr) return nullptr;
    for (size_t i = 0; i < kSlab; ++i) {
      Description* made = new (&slab[i]) Description;
      next_free(made) = g_free;
      g_free = made;
    }
  }
  Description* taken = g_free;
  g_free = next_free(taken);
  return taken;
}

}  // namespace

constinit std::atomic<FdEntry*> FdTable::chunks_[kChunks];
constinit std::atomic<int> FdTable::highest_chunk_{-1};

FdEntry* FdTable::MakeEntry(int fd) noexcept {
  if (FdEntry* known = FindEntry(fd)) return known;
  void* pages = NewPages(sizeof(FdEntry) * kChunkSize);
  if (pages == nullptr) return nullptr;
  const int chunk = fd >> kChunkBits;
  int highest = highest_chunk_.load(std::memory_order_relaxed);
  while (highest < chunk && !highest_chunk_.compare_exchange_weak(highest, chunk)) {
  }
  FdEntry* none = nullptr;
  if (!chunks_[chunk].compare_exchange_strong(none, static_cast<FdEntry*>(pages)))
    munmap(pages, sizeof(FdEntry) * kChunkSize);
  return FindEntry(fd);
}

void FdTable::Adopt(int fd, const NewFd& what) noexcept {
  const int error = errno;
  if (Find(fd) != nullptr) Release(fd);
  FdEntry* entry = MakeEntry(fd);
  if (entry == nullptr) {
    if (what.hidden && !what.nonblocking) ClearNonblocking(fd);
    errno = error;
    return;
  }
  Description* made = &entry->own;
  made->kind_ = what.kind;
  made->unix_socket_ = what.unix_socket;
  made->nonblocking_ = what.nonblocking;
  made->hidden_ = what.hidden;
  made->refuses_nowait_ = false;
  made->write_way_ = WriteWay::kUnknown;
  made->receive_timeout_ = 0;
  made->send_timeout_ = 0;
  entry->description.store(made, std::memory_order_release);
}

Description* FdTable::Classify(int fd) noexcept {
  struct stat status;
  if (real::fstat(fd, &status) != 0) return nullptr;
  NewFd what;
  what.kind = KindOf(status.st_mode, fd);
  const int flags = real::fcntl(fd, F_GETFL, nullptr);
  what.nonblocking = flags >= 0 && (flags & O_NONBLOCK) != 0;
  if (what.kind <= FdKind::kMessage) what.unix_socket = SocketOption(fd, SO_DOMAIN) == AF_UNIX;
  Adopt(fd, what);
  Description* made = Find(fd);
  if (made == nullptr) {
    errno = ENOMEM;
  } else if (made->socket()) {
    made->set_receive_timeout(SocketTimeout(fd, SO_RCVTIMEO));
    made->set_send_timeout(SocketTimeout(fd, SO_SNDTIMEO));
  }
  return made;
}

// Moves the facts out of the entry, where another number can share them. Without memory the two
// stay apart: null.
Description* FdTable::MakeShared(FdEntry& entry) noexcept {
  Description* made =
      Take([](Description* description) -> Description*& { return description->next_free_; });
  if (made == nullptr) return nullptr;
  const Description& own = entry.own;
  made->kind_ = own.kind();
  made->unix_socket_ = own.unix_socket();
  made->nonblocking_ = own.nonblocking();
  made->hidden_ = own.hidden();
  made->refuses_nowait_ = own.refuses_nowait();
  made->write_way_ = own.write_way();
  made->receive_timeout_ = own.receive_timeout();
  made->send_timeout_ = own.send_timeout();
  made->references_ = 1;
  entry.description.store(made, std::memory_order_release);
  return made;
}

void FdTable::Share(int from, int to) noexcept {
  const int error = errno;
  Release(to);
  Description* description = Get(from);
  FdEntry* source = FindEntry(from);
  FdEntry* target = MakeEntry(to);
  if (description != nullptr && description == &source->own) description = MakeShared(*source);
  if (description != nullptr && target != nullptr) {
    description->references_.fetch_add(1, std::memory_order_relaxed);
    target->description.store(description, std::memory_order_release);
  }
  errno = error;
}

void FdTable::Release(int fd) noexcept {
  WakeWaiters(fd);
  FdEntry* entry = FindEntry(fd);
  if (entry == nullptr) return;
  entry->generation.fetch_add(1, std::memory_order_relaxed);
  Description* description = entry->description.exchange(nullptr, std::memory_order_acq_rel);
  if (description == nullptr || description == &entry->own) return;
  if (description->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    FreeListLock lock;
    description->next_free_ = g_free;
    g_free = description;
  }
}

void FdTable::ShowHidden() noexcept {
  for (int chunk = 0; chunk <= highest_chunk_.load(); ++chunk) {
    FdEntry* entries = chunks_[chunk].load(std::memory_order_acquire);
    for (int i = 0; entries != nullptr && i < kChunkSize; ++i) {
      Description* description = entries[i].description.load(std::memory_order_acquire);
      if (description == nullptr || !description->hidden()) continue;
      const int fd = (chunk << kChunkBits) | i;
      if (real::fcntl(fd, F_GETFD, nullptr) & FD_CLOEXEC) continue;
      Show(fd);
    }
  }
}

void FdTable::Show(int fd) noexcept {
  Description* description = Find(fd);
  if (description == nullptr || !description->hidden()) return;
  if (!description->nonblocking()) ClearNonblocking(fd);
  description->set_hidden(false);
}

}  // namespace cogi::hooks
