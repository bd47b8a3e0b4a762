// Scoreboard: what the workers of one pool count, in memory that they share with each other and
// with the master. Each worker writes its own slot; anybody reads. Nothing there steers the master.
// Never yields.
#ifndef COGI_SERVER_SCOREBOARD_H_
#define COGI_SERVER_SCOREBOARD_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace cogi::server {

// StallReport is what a worker says of a handler that does not yield, see watchdog.h.
struct StallReport {
  static constexpr size_t kFrames = 32;
  size_t frames = 0;
  uintptr_t addresses[kFrames] = {};
  char what[256] = "";  // the coroutine or the request
};

// WorkerCounters is one slot. A new process in a slot goes on counting where the dead one stopped,
// the gauges apart (pid, connections, running, waiting), which begin at 0.
struct alignas(128) WorkerCounters {
  std::atomic<pid_t> pid{0};  // 0: nobody serves in this slot
  std::atomic<uint32_t> connections{0};
  std::atomic<uint32_t> running{0};  // requests whose handlers run
  std::atomic<uint32_t> waiting{0};  // requests that wait for a place
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refused{0};          // by the peer's doing, see cgi/events.h
  std::atomic<uint64_t> client_errors{0};    // answers with a status of 400 to 499
  std::atomic<uint64_t> server_errors{0};    // and of 500 and more
  std::atomic<uint64_t> overloaded{0};       // 503: no place in time
  std::atomic<uint64_t> deadlines{0};        // handlers that were cancelled at their deadline
  std::atomic<uint64_t> clients_gone{0};     // requests cancelled because nobody waited any more
  std::atomic<uint64_t> exceptions{0};       // handlers that ended by an exception
  std::atomic<uint64_t> accept_failures{0};  // EMFILE, ENFILE, ENOMEM, ...
  std::atomic<uint64_t> idle_closed{0};      // connections at rest that made room for others
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> stalls{0};  // handlers that did not yield in time
  StallReport stall;                // the last one
  // What the worker is doing before it serves, or why it cannot; "": it serves. Text for people.
  char start[256] = "";
};

class Scoreboard;
using Scoreboards = std::map<std::string, std::unique_ptr<Scoreboard>>;  // by pool

// Count() adds to a counter that only this thread writes: cheaper than an atomic add.
template <class Number>
void Count(std::atomic<Number>& counter, Number more = 1) {
  counter.store(static_cast<Number>(counter.load(std::memory_order_relaxed) + more),
                std::memory_order_relaxed);
}

class Scoreboard {
 public:
  // Maps `slots` zeroed slots. Throws std::system_error.
  explicit Scoreboard(size_t slots);
  ~Scoreboard();
  Scoreboard(const Scoreboard&) = delete;
  Scoreboard& operator=(const Scoreboard&) = delete;

  [[nodiscard]] size_t size() const { return slots_; }
  [[nodiscard]] WorkerCounters& operator[](size_t slot) const { return counters_[slot]; }
  // MeanConnections() is the mean over the slots that serve.
  [[nodiscard]] uint32_t MeanConnections() const;

 private:
  size_t slots_;
  WorkerCounters* counters_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_SCOREBOARD_H_
