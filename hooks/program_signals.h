// The signals of a program: what it sends to itself, its alarm clock, and its handlers. They act on
// the program alone; the process's own dispositions and mask never change. Signals from outside are
// the server's.
//
// A signal that comes while the program waits interrupts the hooked call that it waits in (EINTR
// after a handler has returned); one that comes while it computes is delivered at the end of its
// next hooked call.
#ifndef COGI_HOOKS_PROGRAM_SIGNALS_H_
#define COGI_HOOKS_PROGRAM_SIGNALS_H_

#include <signal.h>
#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "coroutine/deadline.h"

namespace cogi::hooks {

class Program;

// Belongs to one thread.
class ProgramSignals {
 public:
  explicit ProgramSignals(Program& program) : program_(program) {}
  ~ProgramSignals() { End(); }
  ProgramSignals(const ProgramSignals&) = delete;
  ProgramSignals& operator=(const ProgramSignals&) = delete;

  // End() forgets everything, the alarm too: every program starts with defaults.
  void End() noexcept;

  // Raise() sends the program `signal` from itself: delivered at once unless blocked. It may not
  // return.
  void Raise(int signal) noexcept;
  // As sigaction(2), sigprocmask(2), sigpending(2). 0, or -1 with errno.
  int Action(int signal, const struct sigaction* action, struct sigaction* old) noexcept;
  int Mask(int how, const sigset_t* set, sigset_t* old) noexcept;
  void Pending(sigset_t* set) const noexcept;
  // Wait() takes a pending signal of the set, or waits for one until `until`. Returns it, or -1
  // with errno: EAGAIN after that time, EINTR if a handler of another signal has run. Yields.
  int Wait(const sigset_t& set, coroutine::Deadline until) noexcept;
  // Suspend() waits with another mask until a handler has run. Yields.
  void Suspend(const sigset_t* mask) noexcept;

  // SetTimer() and GetTimer() are setitimer(ITIMER_REAL). False without memory.
  bool SetTimer(const itimerval& value) noexcept;
  [[nodiscard]] itimerval GetTimer() const noexcept;

  // Deliver() runs what is due; true if a handler ran. It may not return.
  bool Deliver() noexcept;
  [[nodiscard]] bool due() const noexcept { return (pending_ & ~blocked_) != 0; }

 private:
  struct Alarm;
  struct Installed {
    int signal;
    struct sigaction action;
  };
  static uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }
  // What the program has installed for `signal`; null: the default.
  [[nodiscard]] const struct sigaction* Find(int signal) const noexcept;
  bool Install(int signal, const struct sigaction& action) noexcept;
  void Handle(int signal) noexcept;
  bool Arm(std::chrono::microseconds first) noexcept;
  void Ring() noexcept;

  Program& program_;
  std::vector<Installed> actions_;  // few programs install any, and none many
  uint64_t handled_ = 0;            // signals whose action is in actions_ and counts
  uint64_t pending_ = 0;
  uint64_t blocked_ = 0;
  uint64_t awaited_ = 0;  // by Wait()
  std::shared_ptr<Alarm> alarm_;
  coroutine::Deadline alarm_at_{};
  std::chrono::microseconds interval_{0};
};

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_SIGNALS_H_
