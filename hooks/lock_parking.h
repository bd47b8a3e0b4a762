// Where coroutines park that wait for an address: a mutex, a condition, a semaphore, a guard, a
// futex word. The lock hooks are written on this.
//
// Two kinds of waiting, by who may wake:
// - The holder is another coroutine of this thread. ParkAt() is enough: every release goes through
// a hook on this
//   thread, which calls WakeAt(). No atomics, no memory is taken.
// - Another thread may wake. An Interest, held while the condition is checked and while parked,
// makes the address known
//   to all threads; a release elsewhere finds it, leaves word, and posts the wake-up to this
//   thread's scheduler. A release that does not pass through a hook (libc's own, another process)
//   is not seen: such waits look again by a back-off (see Backoff).
//
// A wake-up may be spurious: callers check their condition in a loop. All calls concern the calling
// thread.
#ifndef COGI_HOOKS_LOCK_PARKING_H_
#define COGI_HOOKS_LOCK_PARKING_H_

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "coroutine/wait.h"
#include "hooks/calls.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

struct Lot;    // one thread's parked coroutines, by address
struct Entry;  // one address that a thread's coroutines are interested in

extern constinit thread_local Lot* t_lot __attribute__((tls_model("initial-exec")));
extern constinit thread_local int t_inside_parking __attribute__((tls_model("initial-exec")));
// How many Interests all threads hold: a release checks this before anything else.
extern constinit std::atomic<int> g_interests;

// LockHooked() is Hooked(), but false while this file's own code runs: what it calls takes locks
// too.
[[nodiscard]] inline bool LockHooked() noexcept { return Hooked() && t_inside_parking == 0; }

// KeyOf() is what the table of waiters and owners knows a lock by: its address; or, for a lock in
// static data of which each program has its own, a value of the program and the address that is no
// address. All functions below take addresses, of the calling coroutine's program, and look them up
// by key; a key is taken as it is.
[[nodiscard]] const void* KeyInProgram(ProgramState& program, const void* address) noexcept;
[[nodiscard]] inline const void* KeyOf(const void* address) noexcept {
  ProgramState* program = CurrentProgram();
  return program == nullptr ? address : KeyInProgram(*program, address);
}
// True for the key of a lock whose memory is in place only while its program runs.
[[nodiscard]] inline bool IsProgramKey(const void* key) noexcept {
  return static_cast<intptr_t>(reinterpret_cast<uintptr_t>(key)) < 0;
}

// Interest makes `address` known to all threads as one that this thread's coroutines wait for. Made
// *before* the last look at the condition, so that a release after that look finds it. It may live
// on a coroutine's stack: nobody else has its address.
class Interest {
 public:
  explicit Interest(const void* address);
  ~Interest();
  Interest(const Interest&) = delete;
  Interest& operator=(const Interest&) = delete;
  // The eventfd that WakeAtSignalSafe() writes for this thread's interests, or -1 if none can be
  // had.
  [[nodiscard]] static int EventFd() noexcept;

 private:
  Entry* entry_;
};

// ParkAt() suspends the calling coroutine until WakeAt() for `address` or `deadline`. Cancelling
// does not end it: the calls that use it may not fail with ECANCELED. Yields.
coroutine::WakeReason ParkAt(const void* address, coroutine::Deadline deadline);
// As ParkAt(), but kCancelled when the coroutine is cancelled. Yields.
coroutine::WakeReason ParkAtUnlessCancelled(const void* address, coroutine::Deadline deadline);

// That many or more; with room for some to be added.
inline constexpr int kEveryone = 1 << 30;

// As ParkAt(), but kCancelled in a program when its coroutine is cancelled, which is also how a
// signal reaches it: the caller lets go of everything and calls AfterInterruption(). Yields.
coroutine::WakeReason ParkAtUnlessInterrupted(const void* address, coroutine::Deadline deadline);

// WakeHere() wakes up to `count` of this thread's coroutines that are parked at `address`, first
// come first served; returns how many. WakeElsewhere() leaves word for up to as many of other
// threads; returns for how many. Never yield.
int WakeHere(const void* address, int count) noexcept;
int WakeElsewhere(const void* address, int count) noexcept;
[[nodiscard]] bool AnyoneParkedHere() noexcept;

// WakeAt() does both, after a release; next to nothing when nobody waits. The release must be a
// full barrier or be followed by one (it is on x86-64, where it is a locked instruction).
inline void WakeAt(const void* address, int count = 1) noexcept {
#if !defined(__x86_64__)
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  if (t_lot != nullptr && AnyoneParkedHere()) [[unlikely]]
    WakeHere(address, count);
  if (g_interests.load(std::memory_order_relaxed) != 0 && t_inside_parking == 0) [[unlikely]]
    WakeElsewhere(address, count);
}

// WakeAtSignalSafe() writes the eventfd of every thread, this one too, with an Interest in
// `address`. For sem_post(), which a signal handler may call.
void WakeAtSignalSafe(const void* address) noexcept;

// Backoff gives the next time to look again: after 1 ms, doubling to `limit`.
class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds limit) : limit_(limit) {}
  [[nodiscard]] coroutine::Deadline Next() {
    const auto wait = pause_;
    pause_ = std::min(pause_ * 2, limit_);
    return coroutine::After(wait);
  }

 private:
  std::chrono::milliseconds pause_{1};
  std::chrono::milliseconds limit_;
};

// AbsoluteTime is a POSIX timeout: a time on a clock, or null for none.
struct AbsoluteTime {
  clockid_t clock;
  const timespec* time;

  // False: EINVAL to the program (the clock is none of CLOCK_REALTIME, CLOCK_MONOTONIC; nanoseconds
  // out of range).
  [[nodiscard]] bool Valid() const noexcept;
  // The deadline as of now. A settable clock that is set meanwhile is looked at again when the
  // deadline has passed.
  [[nodiscard]] coroutine::Deadline ToDeadline() const noexcept;
  [[nodiscard]] bool Passed() const noexcept;
};

// AcquireSlowly() is the loop of every lock: `attempt()` returns EBUSY or the final result;
// `held_here()` tells whether a coroutine of this thread holds it. Returns the result, or
// ETIMEDOUT, or EINVAL for an invalid time (checked, as libc does, only when it has to wait).
// `limit`: the longest pause between two looks while another thread holds it. Yields.
template <class Attempt, class HeldHere>
int AcquireSlowly(const void* address, Attempt attempt, HeldHere held_here, AbsoluteTime timeout);

// PassOn wakes the next waiter if this one leaves (timeout, unwinding) without what it was woken
// for.
class PassOn {
 public:
  explicit PassOn(const void* address) : address_(address) {}
  ~PassOn() {
    if (!acquired_) WakeHere(address_, 1);
  }
  PassOn(const PassOn&) = delete;
  PassOn& operator=(const PassOn&) = delete;
  void Acquired() { acquired_ = true; }

 private:
  const void* address_;
  bool acquired_ = false;
};

// ForgetWaiter() drops the interests of a coroutine that will never run again.
void ForgetWaiter(const coroutine::Coroutine& coroutine) noexcept;

}  // namespace cogi::hooks

#include "hooks/lock_parking_inl.h"

#endif  // COGI_HOOKS_LOCK_PARKING_H_
