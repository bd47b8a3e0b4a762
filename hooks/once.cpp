// pthread_once() and the guards of function-local statics. While one coroutine runs the
// initialiser, and parks in it, others that come park as well, where the real call would block the
// thread that has to finish it.
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "hooks/lock_owners.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

constexpr AbsoluteTime kForEver{CLOCK_MONOTONIC, nullptr};
constexpr int kMine = -1;  // of an attempt: the caller is the one to initialise

// libc's words of a pthread_once_t.
constexpr int kOnceInProgress = 1;
constexpr int kOnceDone = 2;

// The bits of a guard in the Itanium ABI as libstdc++ uses them: the first byte, and a flag in the
// second.
constexpr char kGuardDone = 1;
constexpr int kGuardPending = 0x100;

bool RunsHere(const void* what) { return OwnerTable::Here().Find(what) != nullptr; }

// Records the running coroutine as the one that initialises; at the end, by whatever way, wakes the
// others.
class Initialising {
 public:
  Initialising(const void* what, LockKind kind) : what_(what) {
    OwnerTable::Here().Add(what, coroutine::Id(*coroutine::Current()), kind);
  }
  ~Initialising() {
    OwnerTable::Here().Remove(what_);
    WakeAt(what_, kEveryone);
  }
  Initialising(const Initialising&) = delete;
  Initialising& operator=(const Initialising&) = delete;

 private:
  const void* what_;
};

// std::call_once hands its callable over in two thread-local words, which another coroutine's
// call_once may change while this one waits for its turn.
class CallOnceWords {
 public:
  CallOnceWords() : callable_(std::__once_callable), call_(std::__once_call) {}
  ~CallOnceWords() {
    std::__once_callable = callable_;
    std::__once_call = call_;
  }
  CallOnceWords(const CallOnceWords&) = delete;
  CallOnceWords& operator=(const CallOnceWords&) = delete;

 private:
  void* callable_;
  void (*call_)();
};

int OnceInCoroutine(pthread_once_t* control, void (*routine)()) {
  auto attempt = [&] {
    const int word = __atomic_load_n(control, __ATOMIC_ACQUIRE);
    if ((word & kOnceDone) != 0) return 0;
    return (word & kOnceInProgress) != 0 ? EBUSY : kMine;
  };
  int turn = attempt();
  if (turn == EBUSY) {
    CallRecord record(Call::pthread_once, reinterpret_cast<int64_t>(control));
    CallOnceWords words;
    turn = AcquireSlowly(
        control, attempt, [&] { return RunsHere(control); }, kForEver);
    record.Done(turn);
  }
  if (turn != kMine) return turn;
  Initialising initialising(control, LockKind::kOnce);
  return real::pthread_once(control, routine);
}

// An initialiser that comes back to its own variable is an error of the program, which waits for
// itself for ever wherever libstdc++ is built for threads.
[[noreturn]] void NeedsItself() {
  constexpr char kMessage[] =
      "cogi: the initialiser of a function's static variable calls that function again and would "
      "wait for itself\n";
  if (real::write(STDERR_FILENO, kMessage, sizeof kMessage - 1) < 0) abort();
  abort();
}

int AcquireGuard(int64_t* guard) {
  auto attempt = [&] {
    if ((__atomic_load_n(reinterpret_cast<char*>(guard), __ATOMIC_ACQUIRE) & kGuardDone) != 0)
      return 0;
    if ((__atomic_load_n(reinterpret_cast<int*>(guard), __ATOMIC_ACQUIRE) & kGuardPending) != 0)
      return EBUSY;
    if (real::__cxa_guard_acquire(guard) == 0) return 0;
    OwnerTable::Here().Add(guard, coroutine::Id(*coroutine::Current()), LockKind::kGuard);
    return kMine;
  };
  int turn = attempt();
  if (turn != EBUSY) return turn == kMine ? 1 : 0;
  const Owner* owner = OwnerTable::Here().Find(guard);
  if (owner != nullptr && owner->coroutine == coroutine::Id(*coroutine::Current())) NeedsItself();
  CallRecord record(Call::__cxa_guard_acquire, reinterpret_cast<int64_t>(guard));
  turn = AcquireSlowly(
      guard, attempt, [&] { return RunsHere(guard); }, kForEver);
  return record.Done(turn == kMine ? 1 : 0);
}

void EndGuard(int64_t* guard) {
  if (LockHooked()) OwnerTable::Here().Remove(guard);
  WakeAt(guard, kEveryone);
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiOnce(pthread_once_t* control, void (*routine)()) __asm__("pthread_once");
COGI_API int CogiOnce2(pthread_once_t* control, void (*routine)()) __asm__("__pthread_once");
COGI_API int CogiGuardAcquire(int64_t* guard) __asm__("__cxa_guard_acquire");
COGI_API void CogiGuardRelease(int64_t* guard) __asm__("__cxa_guard_release");
COGI_API void CogiGuardAbort(int64_t* guard) __asm__("__cxa_guard_abort");

int CogiOnce(pthread_once_t* control, void (*routine)()) {
  using namespace cogi::hooks;
  if (LockHooked()) return OnceInCoroutine(control, routine);
  const bool first = (__atomic_load_n(control, __ATOMIC_ACQUIRE) & kOnceDone) == 0;
  const int result = real::pthread_once(control, routine);
  if (first) WakeAt(control, kEveryone);
  return result;
}
int CogiOnce2(pthread_once_t* control, void (*routine)()) { return CogiOnce(control, routine); }

int CogiGuardAcquire(int64_t* guard) {
  using namespace cogi::hooks;
  return LockHooked() ? AcquireGuard(guard) : real::__cxa_guard_acquire(guard);
}

void CogiGuardRelease(int64_t* guard) {
  cogi::hooks::real::__cxa_guard_release(guard);
  cogi::hooks::EndGuard(guard);
}

void CogiGuardAbort(int64_t* guard) {
  cogi::hooks::real::__cxa_guard_abort(guard);
  cogi::hooks::EndGuard(guard);
}
}
