// Watchdog: finds handlers that do not yield. A timer on the CPU time of the worker's thread, so
// that nothing ticks while it waits: if a whole period was computed without one switch between
// coroutines, the worker writes down what runs and its backtrace, and tells the master, which logs
// it. After the longer period an in-process program is ended, as by a crash of its own: its request
// is answered 504, the others go on, and the worker is replaced when they have. Anything else that
// computes so long cannot be left in the middle: the master replaces the worker at once. Never
// yields.
#ifndef COGI_SERVER_WATCHDOG_H_
#define COGI_SERVER_WATCHDOG_H_

#include <sys/types.h>

#include <string>

#include "config/settings.h"
#include "server/scoreboard.h"

namespace cogi::server {

class Worker;

class Watchdog {
 public:
  // Watches the calling thread. `channel` leads to the master. One per process.
  Watchdog(Worker& worker, const config::Settings& settings, int channel);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  bool armed_ = false;
};

// DescribeStall() is the report of the worker `pid` in words: what runs, and the frames as
// module+offset, innermost first. For the master, while the worker lives.
[[nodiscard]] std::string DescribeStall(pid_t pid, const StallReport& report);

}  // namespace cogi::server

#endif  // COGI_SERVER_WATCHDOG_H_
