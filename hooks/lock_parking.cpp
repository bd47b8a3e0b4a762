#include "hooks/lock_parking.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "coroutine/scheduler.h"
#include "hooks/real.h"

namespace cogi::hooks {

using coroutine::Coroutine;
using coroutine::Deadline;
using coroutine::Scheduler;
using coroutine::WaitList;
using coroutine::WaitNode;
using coroutine::WakeReason;

constinit thread_local Lot* t_lot = nullptr;
constinit thread_local int t_inside_parking = 0;
constinit std::atomic<int> g_interests{0};

// Entries and lots are never freed, so that any thread, and a signal handler, may walk them without
// a lock. An entry belongs to one lot for ever, which uses it for one address after the other.
struct Entry {
  std::atomic<const void*> key{nullptr};
  std::atomic<int> interests{0};
  std::atomic<int> pending{0};  // wake-ups that were left by other threads
  Lot* lot = nullptr;
  Entry* next_in_bucket = nullptr;
  Entry* next_of_lot = nullptr;
};

struct Lot {
  static constexpr size_t kBuckets = 64;
  WaitList buckets[kBuckets];
  int parked = 0;
  std::atomic<int> event_fd{-1};
  Entry* entries = nullptr;
  // Who holds an Interest, for ForgetWaiter(). Few at a time.
  std::vector<std::pair<const Coroutine*, Entry*>> holders;
  // Guards `scheduler`, which is null while no coroutine of the thread holds an Interest: only then
  // may it be gone.
  pthread_mutex_t post_mutex = PTHREAD_MUTEX_INITIALIZER;
  Scheduler* scheduler = nullptr;
  std::atomic<bool> posted{false};
  Lot* next_free = nullptr;
};

namespace {

constexpr size_t kEntryBuckets = 256;
constinit std::atomic<Entry*> g_entries[kEntryBuckets];
constinit pthread_mutex_t g_free_lots_mutex = PTHREAD_MUTEX_INITIALIZER;
constinit Lot* g_free_lots = nullptr;

size_t Hash(const void* key) {
  const auto bits = reinterpret_cast<uintptr_t>(key);
  return ((bits >> 3) * 0x9E3779B97F4A7C15ull) >> 40;
}

// Inside marks that this file's own code runs, whose locks and posts must not come back here.
class Inside {
 public:
  Inside() { ++t_inside_parking; }
  ~Inside() { --t_inside_parking; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// Hands the thread's lot to the next thread.
struct LotOwner {
  ~LotOwner() {
    if (t_lot == nullptr) return;
    real::pthread_mutex_lock(&g_free_lots_mutex);
    t_lot->next_free = g_free_lots;
    g_free_lots = t_lot;
    real::pthread_mutex_unlock(&g_free_lots_mutex);
    t_lot = nullptr;
  }
};

Lot& ThisLot() {
  if (t_lot != nullptr) [[likely]]
    return *t_lot;
  Inside inside;
  ServerScope server;
  static thread_local LotOwner owner;
  static_cast<void>(&owner);
  real::pthread_mutex_lock(&g_free_lots_mutex);
  Lot* lot = g_free_lots;
  if (lot != nullptr) g_free_lots = lot->next_free;
  real::pthread_mutex_unlock(&g_free_lots_mutex);
  t_lot = lot != nullptr ? lot : new Lot;
  return *t_lot;
}

// A wait node carries the key in its two words that belong to the list's owner.
void SetKey(WaitNode& node, const void* key) {
  const auto bits = reinterpret_cast<uint64_t>(key);
  node.wanted = static_cast<uint32_t>(bits);
  node.got = static_cast<uint32_t>(bits >> 32);
}

bool HasKey(const WaitNode& node, const void* key) {
  const auto bits = reinterpret_cast<uint64_t>(key);
  return node.wanted == static_cast<uint32_t>(bits) &&
         node.got == static_cast<uint32_t>(bits >> 32);
}

// A wake-up whose waiter has left is another's: somebody is woken as long as anybody waits. That
// may be a thread, which waits for the word itself.
void HandOn(const void* key, int left) {
  if (left <= 0 || left >= kEveryone) return;
  left -= WakeElsewhere(key, left);
  if (left > 0)
    real::syscall(SYS_futex, reinterpret_cast<long>(key), FUTEX_WAKE_PRIVATE, left, 0, 0, 0);
}

// On the scheduler's thread, outside coroutines: hands out what other threads have left.
void Deliver(Lot* lot) {
  lot->posted.store(false);
  for (Entry* entry = lot->entries; entry != nullptr; entry = entry->next_of_lot) {
    if (entry->pending.load(std::memory_order_relaxed) == 0) continue;
    const int wanted = entry->pending.exchange(0);
    const void* key = entry->key.load(std::memory_order_relaxed);
    const int woken = WakeHere(key, wanted);
    if (wanted < kEveryone) HandOn(key, wanted - woken);
  }
}

void PostDelivery(Lot& lot) {
  if (lot.posted.exchange(true)) return;
  Inside inside;
  ServerScope server;
  real::pthread_mutex_lock(&lot.post_mutex);
  if (lot.scheduler != nullptr) {
    try {
      lot.scheduler->Post([&lot] { Deliver(&lot); });
    } catch (const std::bad_alloc&) {
      lot.posted.store(false);  // the waiters' back-off finds it
    }
  } else {
    lot.posted.store(false);
  }
  real::pthread_mutex_unlock(&lot.post_mutex);
}

void SetScheduler(Lot& lot, Scheduler* scheduler) {
  real::pthread_mutex_lock(&lot.post_mutex);
  lot.scheduler = scheduler;
  lot.posted.store(false);
  real::pthread_mutex_unlock(&lot.post_mutex);
}

Entry* Claim(Lot& lot, const void* key) {
  const size_t bucket = Hash(key) % kEntryBuckets;
  Entry* unused = nullptr;
  for (Entry* entry = g_entries[bucket].load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next_in_bucket) {
    if (entry->lot != &lot) continue;
    const bool used = entry->interests.load(std::memory_order_relaxed) != 0;
    if (used && entry->key.load(std::memory_order_relaxed) == key) return entry;
    if (!used) unused = entry;
  }
  if (unused != nullptr) {
    HandOn(unused->key.load(std::memory_order_relaxed), unused->pending.exchange(0));
    unused->key.store(key, std::memory_order_release);
    return unused;
  }
  auto* entry = new Entry;
  entry->lot = &lot;
  entry->key.store(key, std::memory_order_relaxed);
  entry->next_of_lot = lot.entries;
  lot.entries = entry;
  entry->next_in_bucket = g_entries[bucket].load(std::memory_order_relaxed);
  while (!g_entries[bucket].compare_exchange_weak(entry->next_in_bucket, entry,
                                                  std::memory_order_release)) {
  }
  return entry;
}

// In the child of a fork there is one thread: what others held is not coming back.
void ResetAfterFork() {
  g_free_lots_mutex = PTHREAD_MUTEX_INITIALIZER;
  g_free_lots = nullptr;
  g_interests.store(0);
  for (auto& bucket : g_entries) bucket.store(nullptr);
  t_lot = nullptr;  // its lists link the parent's coroutines
  t_inside_parking = 0;
}

__attribute__((constructor)) void WatchForks() { pthread_atfork(nullptr, nullptr, ResetAfterFork); }

void DropInterest(Lot& lot, Entry* entry) {
  // Who leaves word looks at `interests` again afterwards: one of the two sees the other.
  if (entry->interests.fetch_sub(1) == 1) HandOn(entry->key.load(), entry->pending.exchange(0));
  g_interests.fetch_sub(1);
  if (lot.holders.empty()) SetScheduler(lot, nullptr);
}

}  // namespace

Interest::Interest(const void* address) {
  const int saved_errno = errno;
  Inside inside;
  const void* key = KeyOf(address);
  ServerScope server;
  Lot& lot = ThisLot();
  if (lot.holders.empty()) SetScheduler(lot, Scheduler::Current());
  entry_ = Claim(lot, key);
  lot.holders.emplace_back(coroutine::Current(), entry_);
  entry_->interests.fetch_add(1);
  g_interests.fetch_add(
      1);  // sequentially consistent: before the holder's next look at its condition
  errno = saved_errno;
}

Interest::~Interest() {
  const int saved_errno = errno;
  Inside inside;
  Lot& lot = ThisLot();
  const Coroutine* self = coroutine::Current();
  for (size_t i = lot.holders.size(); i-- > 0;) {
    if (lot.holders[i].first != self || lot.holders[i].second != entry_) continue;
    lot.holders[i] = lot.holders.back();
    lot.holders.pop_back();
    DropInterest(lot, entry_);
    break;
  }
  errno = saved_errno;
}

int Interest::EventFd() noexcept {
  Lot& lot = ThisLot();
  int fd = lot.event_fd.load(std::memory_order_relaxed);
  if (fd == -1) {
    // The thread's, whichever program waits here first.
    fd = real::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lot.event_fd.store(fd);
  }
  return fd;
}

WakeReason ParkAtUnlessCancelled(const void* address, Deadline deadline) {
  Lot& lot = ThisLot();
  const void* key = KeyOf(address);
  WaitNode& node = coroutine::WaitNodeOf(*coroutine::Current());
  lot.buckets[Hash(key) % Lot::kBuckets].Add(node);
  SetKey(node, key);
  // Counts this coroutine for as long as it is parked, also if it is unwound there.
  struct Parked {
    explicit Parked(Lot& of) : lot(of) { ++lot.parked; }
    ~Parked() { --lot.parked; }
    Lot& lot;
  } parked(lot);
  return coroutine::Park(coroutine::WaitKind::kLock, reinterpret_cast<uintptr_t>(address),
                         deadline);
}

WakeReason ParkAt(const void* address, Deadline deadline) {
  Coroutine& self = *coroutine::Current();
  bool cancelled = coroutine::Cancelled(self);
  const int saved_errno = errno;
  WakeReason reason;
  for (;;) {
    if (cancelled) coroutine::ClearCancel(self);
    reason = ParkAtUnlessCancelled(address, deadline);
    if (reason != WakeReason::kCancelled) break;
    cancelled = true;
  }
  if (cancelled) coroutine::Cancel(self);  // the next call that may fail does
  errno = saved_errno;
  return reason;
}

WakeReason ParkAtUnlessInterrupted(const void* address, Deadline deadline) {
  return CurrentProgram() != nullptr ? ParkAtUnlessCancelled(address, deadline)
                                     : ParkAt(address, deadline);
}

const void* KeyInProgram(ProgramState& program, const void* address) noexcept {
  if (!program.OwnsAddress(address)) return address;
  const auto bits = reinterpret_cast<uintptr_t>(address);
  const uintptr_t mixed = bits ^ (reinterpret_cast<uintptr_t>(&program) * 0x9E3779B97F4A7C15ull);
  return reinterpret_cast<const void*>(
      mixed | (uintptr_t{1} << 63));  // no address of user space has that bit
}

bool AnyoneParkedHere() noexcept { return t_lot != nullptr && t_lot->parked != 0; }

int WakeHere(const void* address, int count) noexcept {
  if (t_lot == nullptr) return 0;
  const void* key = KeyOf(address);
  WaitList& list = t_lot->buckets[Hash(key) % Lot::kBuckets];
  int woken = 0;
  for (WaitNode* node = list.front(); node != nullptr && woken < count;) {
    WaitNode* next = node->next;
    // One whose time is over, or which is cancelled, has not had its turn: it is no longer meant.
    if (HasKey(*node, key) && coroutine::StateOf(*node->coroutine) == coroutine::State::kParked) {
      list.Wake(*node);
      ++woken;
    }
    node = next;
  }
  return woken;
}

int WakeElsewhere(const void* address, int count) noexcept {
  const bool everyone = count >= kEveryone;
  int told = 0;
  const void* key = KeyOf(address);
  const size_t bucket = Hash(key) % kEntryBuckets;
  for (Entry* entry = g_entries[bucket].load(std::memory_order_acquire);
       entry != nullptr && told < count; entry = entry->next_in_bucket) {
    const int waiting = entry->interests.load();
    if (entry->lot == t_lot || waiting == 0 || entry->key.load() != key) continue;
    // No more than there are to wake: what goes beyond is another thread's.
    const int some = everyone ? waiting : std::min(count - told, waiting - entry->pending.load());
    if (some <= 0) continue;
    if (everyone)
      entry->pending.store(kEveryone);
    else
      entry->pending.fetch_add(some);
    PostDelivery(*entry->lot);
    // They have left meanwhile, without seeing it: it is taken back. Or their place is another
    // wait's by now, for which it is a spurious wake-up.
    if (entry->interests.load() == 0 && entry->pending.exchange(0) != 0) continue;
    if (entry->key.load() == key) told += some;
  }
  return told;
}

void WakeAtSignalSafe(const void* address) noexcept {
  const int saved_errno = errno;
  const void* key = KeyOf(address);
  const size_t bucket = Hash(key) % kEntryBuckets;
  for (Entry* entry = g_entries[bucket].load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next_in_bucket) {
    if (entry->interests.load() == 0 || entry->key.load() != key) continue;
    const uint64_t one = 1;
    const int fd = entry->lot->event_fd.load();
    // A full counter is no loss: the fd is readable as it is.
    if (fd != -1 && real::write(fd, &one, sizeof one) < 0) continue;
  }
  errno = saved_errno;
}

void ForgetWaiter(const Coroutine& coroutine) noexcept {
  if (t_lot == nullptr) return;
  Inside inside;
  Lot& lot = *t_lot;
  for (size_t i = lot.holders.size(); i-- > 0;) {
    if (lot.holders[i].first != &coroutine) continue;
    Entry* entry = lot.holders[i].second;
    lot.holders[i] = lot.holders.back();
    lot.holders.pop_back();
    DropInterest(lot, entry);
  }
}

namespace {

timespec Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now;
}

}  // namespace

bool AbsoluteTime::Valid() const noexcept {
  return (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC) && time->tv_nsec >= 0 &&
         time->tv_nsec < 1'000'000'000;
}

bool AbsoluteTime::Passed() const noexcept {
  const timespec now = Now(clock);
  return now.tv_sec != time->tv_sec ? now.tv_sec > time->tv_sec : now.tv_nsec >= time->tv_nsec;
}

Deadline AbsoluteTime::ToDeadline() const noexcept {
  const timespec now = Now(clock);
  // A difference that overflows is centuries away, or ago.
  int64_t seconds = 0;
  if (__builtin_sub_overflow(static_cast<int64_t>(time->tv_sec), static_cast<int64_t>(now.tv_sec),
                             &seconds))
    return time->tv_sec > now.tv_sec ? coroutine::kNoDeadline : Deadline::min();
  if (seconds > int64_t{200} * 366 * 86400) return coroutine::kNoDeadline;
  if (seconds < 0) return coroutine::After(std::chrono::nanoseconds(0));
  return coroutine::After(std::chrono::seconds(seconds) +
                          std::chrono::nanoseconds(time->tv_nsec - now.tv_nsec));
}

}  // namespace cogi::hooks
