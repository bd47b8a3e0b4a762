// Worker: one process with one scheduler thread that serves the connections of a pool. Made by the
// master's fork(); everything here belongs to that one thread.
#ifndef COGI_SERVER_WORKER_H_
#define COGI_SERVER_WORKER_H_

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cgi/fcgi_record.h"
#include "cgi/handler.h"
#include "cgi/limits.h"
#include "config/settings.h"
#include "coroutine/scheduler.h"
#include "coroutine/wait.h"
#include "server/acceptor.h"
#include "server/deadline_keeper.h"
#include "server/listener.h"
#include "server/real_calls.h"
#include "server/scoreboard.h"
#include "server/tls_context.h"

namespace cogi::server {

class Connection;
class Router;

// What a worker is told by the master. The references live as long as the process.
struct WorkerOrders {
  const config::Settings& settings;
  std::string pool_name;
  const config::Pool& pool;
  std::vector<std::shared_ptr<Listener>> listeners;  // parallel to pool.listen
  std::vector<std::shared_ptr<TlsContext>> tls;      // likewise; null: none
  const Scoreboards& scoreboards;
  Scoreboard& scoreboard;  // of the pool
  size_t slot;             // its number in the pool
  size_t seat;             // its place in the scoreboard
  bool checks_itself;      // it serves only if the pool's self-check passes
  uint64_t serial;         // different for every worker that a server ever starts
  UniqueFd channel;        // to the master, see kWorker* below
  pid_t master;
};

// The channel between master and worker. The worker writes kWorkerReady when it serves,
// kWorkerFails when a program has crashed in it or had to be ended, and kWorkerStalled or
// kWorkerStuck when a handler does not yield (watchdog.h); the master writes kMasterRetire to end
// it without cutting anybody (others serve). The master's end closes when the master dies: the
// worker drains.
inline constexpr char kWorkerReady = 'R';
inline constexpr char kWorkerFails = 'F';
inline constexpr char kWorkerStalled = 'S';
inline constexpr char kWorkerStuck = 'K';
inline constexpr char kMasterRetire = 'r';

// Exit codes of a worker.
inline constexpr int kExitDone = 0;
inline constexpr int kExitCannotStart = 3;  // starting it again will not help; it has said why

// TellMaster() writes a byte to the channel of this process's worker. Before there is one, nothing.
void TellMaster(char message);

// RunWorker() is the life of a worker process; returns its exit code.
[[nodiscard]] int RunWorker(WorkerOrders orders);

class Worker {
 public:
  // Makes the scheduler, the routes' handlers and the acceptors. Throws StartError, or
  // std::system_error.
  explicit Worker(WorkerOrders orders);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Run() serves until the worker has drained, or is told to stop at once. Throws StartError if the
  // worker's self-check fails: then it has not served.
  void Run();

  [[nodiscard]] const cgi::Limits& limits() const { return limits_; }
  [[nodiscard]] cgi::Handler& router() const;
  [[nodiscard]] WorkerCounters& counters() const { return counters_; }
  [[nodiscard]] bool draining() const { return draining_; }
  // closes_idle() is true if the worker drains and resting connections are closed at once.
  [[nodiscard]] bool closes_idle() const { return idle_closed_; }
  [[nodiscard]] const coroutine::SpawnOptions& spawn_options() const { return spawn_options_; }
  // clients() watches whether the clients of running requests are still there.
  [[nodiscard]] DeadlineKeeper::Queue& clients() { return clients_; }
  // totals() watches how long requests take in all.
  [[nodiscard]] DeadlineKeeper::Queue& totals() { return totals_; }
  [[nodiscard]] std::chrono::milliseconds total() const { return pool().timeouts.total; }
  // WhatRuns() names what the running coroutine does. For the watchdog: reads only, allocates
  // nothing.
  void WhatRuns(char* text, size_t size) const;
  // HandOverResting() sends every connection that rests to the other workers: for a worker that is
  // stuck and will be killed. Allocates nothing.
  void HandOverResting() const;
  [[nodiscard]] std::chrono::milliseconds tls_handshake() const {
    return pool().timeouts.tls_handshake;
  }
  // fastcgi_values() is what the worker says of itself over FastCGI. TakeFastCgiPlace() admits one
  // more request that comes so, unless as many are open as there may be connections;
  // GiveFastCgiPlace() gives the place back.
  [[nodiscard]] cgi::fcgi::Values fastcgi_values() const;
  [[nodiscard]] bool TakeFastCgiPlace();
  void GiveFastCgiPlace() { --fastcgi_requests_; }
  // NextId() is a request id that no other request of this server has.
  [[nodiscard]] std::string NextId();

  // Add(), Remove() keep the list of connections, Touch() its order: the one that was answered last
  // comes first.
  void Add(Connection& connection);
  void Remove(Connection& connection);
  void Touch(Connection& connection);
  // CloseLongestIdle() ends some of the connections of clients that have rested longest, since
  // places are wanted. Those of web servers in front stay: they may be writing.
  void CloseLongestIdle();
  [[nodiscard]] bool HasPlace() const { return connections_ < pool().limits.connections; }
  // TakeAddress() counts a connection from `address`. False: it has as many as it may.
  // LeaveAddress() ends that.
  [[nodiscard]] bool TakeAddress(const std::string& address);
  void LeaveAddress(const std::string& address);
  [[nodiscard]] bool LimitsAddresses() const { return pool().limits.connections_per_address > 0; }
  // HasMoreThanItsShare() is true if this worker has clearly more connections than the mean.
  [[nodiscard]] bool HasMoreThanItsShare() const;
  [[nodiscard]] bool shares_listeners() const { return orders_.scoreboard.size() > 1; }

 private:
  enum class End { kStop, kRetire };

  [[nodiscard]] const config::Pool& pool() const { return orders_.pool; }
  void CheckItself();
  void BeginToServe();
  void WatchSignals();
  void WatchMaster();
  void FlushAccessLog();
  void Drain(End end);
  void EndDrain();
  void StopIfDrained();
  void DumpRequests();
  void Link(Connection& connection);
  void Unlink(Connection& connection);

  WorkerOrders orders_;
  WorkerCounters& counters_;
  cgi::Limits limits_;
  coroutine::SpawnOptions spawn_options_;
  DeadlineKeeper keeper_;
  DeadlineKeeper::Queue& clients_;
  DeadlineKeeper::Queue& totals_;
  std::unique_ptr<Router> router_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  Connection* first_ = nullptr;
  Connection* last_ = nullptr;
  uint32_t connections_ = 0;
  uint32_t fastcgi_requests_ = 0;
  std::unordered_map<std::string, uint32_t> addresses_;  // connections of each, if that is limited
  uint64_t next_id_ = 0;
  std::string id_prefix_;
  coroutine::WaitList flusher_;
  coroutine::WaitList drained_;
  bool draining_ = false;
  bool idle_closed_ = false;
  std::string refusal_;  // why it does not serve: its self-check has failed
  // Last, so that it goes first: coroutines that are cut at the end use all of the above while they
  // are unwound.
  coroutine::Scheduler scheduler_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_WORKER_H_
