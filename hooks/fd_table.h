// The descriptor table: what the hooks know of each descriptor. A number leads to an open file
// *description*, which descriptors made by dup() share, as they do in the kernel: its kind, its
// O_NONBLOCK as the program sees it, and its timeouts. Sockets and pipes made inside coroutines are
// non-blocking in the kernel ("hidden"); descriptions that may be shared with other processes are
// left as they are and are used by calls that cannot wait.
//
// A descriptor that was not made by a hooked call is classified at its first use. The table covers
// the process; each function is thread-safe in the sense that the calls on descriptors are: two
// threads that close and use one number at the same time get one or the other. Nothing here yields.
#ifndef COGI_HOOKS_FD_TABLE_H_
#define COGI_HOOKS_FD_TABLE_H_

#include <atomic>
#include <climits>
#include <cstdint>

#include "coroutine/deadline.h"

namespace cogi::hooks {

enum class FdKind : uint8_t {
  kStream,    // a stream socket
  kMessage,   // any other socket: a call moves one message
  kPipe,      // a pipe or FIFO
  kFile,      // regular file, directory, block device: never waits
  kPollable,  // terminals, eventfd, timerfd, signalfd and the rest
};

// How a regular file is written to inside coroutines (file_write.h).
enum class WriteWay : uint8_t { kUnknown, kDirect, kNowait, kHelper };

class Description {
 public:
  [[nodiscard]] FdKind kind() const { return kind_.load(kRelaxed); }
  [[nodiscard]] bool socket() const { return kind() <= FdKind::kMessage; }
  [[nodiscard]] bool unix_socket() const { return unix_socket_.load(kRelaxed); }

  // The program asked for O_NONBLOCK: its calls go to the kernel as they are.
  [[nodiscard]] bool nonblocking() const { return nonblocking_.load(kRelaxed); }
  void set_nonblocking(bool value) { nonblocking_.store(value, kRelaxed); }

  // The kernel's O_NONBLOCK is ours: real calls return EAGAIN instead of waiting.
  [[nodiscard]] bool hidden() const { return hidden_.load(kRelaxed); }
  void set_hidden(bool value) { hidden_.store(value, kRelaxed); }

  // The kernel refused RWF_NOWAIT for it: readiness must be asked first.
  [[nodiscard]] bool refuses_nowait() const { return refuses_nowait_.load(kRelaxed); }
  void set_refuses_nowait() { refuses_nowait_.store(true, kRelaxed); }

  [[nodiscard]] WriteWay write_way() const { return write_way_.load(kRelaxed); }
  void set_write_way(WriteWay way) { write_way_.store(way, kRelaxed); }

  // SO_RCVTIMEO and SO_SNDTIMEO in microseconds; 0: none.
  [[nodiscard]] int64_t receive_timeout() const { return receive_timeout_.load(kRelaxed); }
  [[nodiscard]] int64_t send_timeout() const { return send_timeout_.load(kRelaxed); }
  void set_receive_timeout(int64_t value) { receive_timeout_.store(value, kRelaxed); }
  void set_send_timeout(int64_t value) { send_timeout_.store(value, kRelaxed); }

  // A blocking call on it never waits, or must not be made to.
  [[nodiscard]] bool PassesThrough() const { return nonblocking() || kind() == FdKind::kFile; }

 private:
  friend class FdTable;
  static constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

  std::atomic<FdKind> kind_{FdKind::kPollable};
  std::atomic<bool> unix_socket_{false};
  std::atomic<bool> nonblocking_{false};
  std::atomic<bool> hidden_{false};
  std::atomic<bool> refuses_nowait_{false};
  std::atomic<WriteWay> write_way_{WriteWay::kUnknown};
  std::atomic<uint32_t> references_{0};
  std::atomic<int64_t> receive_timeout_{0};
  std::atomic<int64_t> send_timeout_{0};
  Description* next_free_ = nullptr;
};

// One number. Its description lies beside it, in the same cache line, until dup() makes others
// share it.
struct alignas(64) FdEntry {
  std::atomic<Description*> description{nullptr};  // null: nothing is known
  std::atomic<uint32_t> generation{0};
  Description own;
};
static_assert(sizeof(FdEntry) == 64);

// What a new descriptor is, for FdTable::Adopt().
struct NewFd {
  FdKind kind = FdKind::kPollable;
  bool unix_socket = false;
  bool nonblocking = false;  // as the program asked
  bool hidden = false;       // the kernel's flag is ours
};

class FdTable {
 public:
  // Find() is the description of `fd`, or null if nothing is known. Get() classifies an unknown
  // one; null with errno EBADF if it is not open (or EMFILE's cousin ENOMEM if no memory can be
  // had).
  [[nodiscard]] static Description* Find(int fd) noexcept {
    FdEntry* entry = FindEntry(fd);
    return entry == nullptr ? nullptr : entry->description.load(std::memory_order_acquire);
  }
  [[nodiscard]] static Description* Get(int fd) noexcept {
    Description* known = Find(fd);
    return known != nullptr ? known : Classify(fd);
  }

  // KnowsNone() is true as long as nothing was entered: in a process that has run no hooked call on
  // a descriptor inside a coroutine. Then a call outside coroutines has nothing to note afterwards.
  [[nodiscard]] static bool KnowsNone() noexcept {
    return highest_chunk_.load(std::memory_order_acquire) < 0;
  }

  // Hides() is true if the program takes `fd` for a blocking descriptor although the kernel's
  // O_NONBLOCK is set.
  [[nodiscard]] static bool Hides(int fd) noexcept {
    const Description* description = Find(fd);
    return description != nullptr && description->hidden() && !description->nonblocking();
  }

  // Adopt() enters a descriptor that has just been made. What was known of the number before is
  // dropped, waiters that a close behind our back left are woken. Without memory the descriptor
  // stays unknown and a hidden O_NONBLOCK is taken off again.
  static void Adopt(int fd, const NewFd& what) noexcept;
  // Share() makes `to`, just made by dup() from `from`, share its description.
  static void Share(int from, int to) noexcept;
  // Release() ends what is known of `fd`, wakes its waiters with EBADF and moves its generation on.
  // Call it just before the close.
  static void Release(int fd) noexcept;
  // Forget() is Release() for a number that the program does not mean to close: it was made by a
  // call that is not hooked.
  static void Forget(int fd) noexcept { Release(fd); }

  // Generation() changes whenever the number stops meaning what it meant: a call that has waited
  // compares.
  [[nodiscard]] static uint32_t Generation(int fd) noexcept {
    const FdEntry* entry = FindEntry(fd);
    return entry == nullptr ? 0 : entry->generation.load(std::memory_order_relaxed);
  }

  // ShowHidden() takes the hidden O_NONBLOCK off all descriptions that a child process would
  // inherit over exec, so that the child finds blocking descriptors. They stay usable here.
  static void ShowHidden() noexcept;
  // Show() does so for the description of `fd`, which is about to be given to another process.
  static void Show(int fd) noexcept;

 private:
  static constexpr int kChunkBits = 12;
  static constexpr int kChunkSize = 1 << kChunkBits;
  static constexpr int kChunks = (INT_MAX >> kChunkBits) + 1;  // every number that an int can hold

  static FdEntry* FindEntry(int fd) noexcept {
    if (fd < 0) return nullptr;
    FdEntry* chunk = chunks_[fd >> kChunkBits].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk[fd & (kChunkSize - 1)];
  }
  static FdEntry* MakeEntry(int fd) noexcept;
  static Description* Classify(int fd) noexcept;
  static Description* MakeShared(FdEntry& entry) noexcept;

  // 4 MiB of address space, of which the kernel gives memory only to the pages that are used.
  static std::atomic<FdEntry*> chunks_[kChunks];
  static std::atomic<int> highest_chunk_;
};

// DeadlineAfter() is the deadline of a wait with a timeout in microseconds; 0: none.
[[nodiscard]] inline coroutine::Deadline DeadlineAfter(int64_t microseconds) {
  if (microseconds == 0) return coroutine::kNoDeadline;
  return coroutine::After(std::chrono::microseconds(microseconds));
}

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_FD_TABLE_H_
