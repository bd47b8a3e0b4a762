// Master: the process that binds the listeners, starts the workers and keeps them alive. It has no
// scheduler, runs no handler and never reads a byte from the network.
#ifndef COGI_SERVER_MASTER_H_
#define COGI_SERVER_MASTER_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "coroutine/deadline.h"
#include "server/generation.h"
#include "server/pid_file.h"
#include "server/real_calls.h"
#include "server/upgrade.h"

namespace cogi::server {

struct MasterOptions {
  // Reads the configuration: at start, and again at each reload. Throws config::Error.
  std::function<config::Settings()> load;
  std::string what;         // what is served, for messages: the file or directory
  std::string path;         // the same, absolute
  bool allow_root = false;  // workers may run as root without a warning
  bool directory = false;   // `cogi serve DIRECTORY`: as root with a warning
};

class Master {
 public:
  explicit Master(MasterOptions options);
  ~Master();
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  // Run() serves until a signal ends it. Returns the exit code: 0, or 1 if it could not start, in
  // which case it has said why.
  //   TERM, QUIT  workers drain within the limit; then 0
  //   INT         at once; 0
  //   HUP         reload: a new generation of workers, then the old one drains
  //   USR1        logs are opened again
  //   USR2        every worker logs what it is doing
  //   RTMIN       upgrade: the executable that lies in this one's place takes over
  [[nodiscard]] int Run();

 private:
  using Time = coroutine::Deadline;

  struct WorkerProcess {
    pid_t pid = -1;
    UniqueFd channel;
    std::shared_ptr<Generation> generation;
    size_t slot = 0;  // index into generation->slots
    size_t seat = 0;  // index into its pool's scoreboard
    Time started{};
    bool ready = false;
    bool silent = false;   // its end of the channel is closed
    bool failing = false;  // a program has crashed in it: another worker takes its slot
    bool retired = false;
  };

  int Supervise();
  void Start();
  void CheckUser(const config::Settings& settings) const;
  [[nodiscard]] std::string NoteState() const;
  bool BlockSignals();

  void StartWorker(const std::shared_ptr<Generation>& generation, size_t slot);
  [[noreturn]] void BecomeWorker(const std::shared_ptr<Generation>& generation, size_t slot,
                                 size_t seat, UniqueFd channel);
  void StartDueWorkers();
  void ReapWorkers();
  void WorkerEnded(WorkerProcess& worker, int status);
  void ScheduleRestart(const WorkerProcess& worker);
  void WorkerSpoke(WorkerProcess& worker);
  void WorkerReady(WorkerProcess& worker);
  void WorkerFails(WorkerProcess& worker);
  [[nodiscard]] size_t FreeSeat(const Generation& generation, size_t slot) const;
  [[nodiscard]] static std::string Who(const WorkerProcess& worker);
  [[nodiscard]] static WorkerCounters& CountersOf(const WorkerProcess& worker);
  [[nodiscard]] static std::string WordOfStart(const WorkerProcess& worker);

  void HandleSignals();
  static void GiveAllLogs(const config::Settings& settings);
  void ReopenAllLogs();
  void Stop(int signal);
  void Reload();
  [[nodiscard]] std::shared_ptr<Generation> MakeNext(config::Settings settings) const;
  [[nodiscard]] std::string TryNext() const;
  [[nodiscard]] std::string WhatIsAwaited() const;
  void AbandonReload(const std::string& why);
  void CompleteReload();
  void Upgrade();
  void Adopt(const Handover& before);
  void ReloadEnded(const std::string& why_not);
  void Retire(WorkerProcess& worker);
  void CheckLimits();
  [[nodiscard]] int PollTimeout() const;
  [[nodiscard]] bool AllReady(const Generation& generation) const;
  void SignalAll(int signal) const;

  MasterOptions options_;
  std::shared_ptr<Generation> current_;
  std::shared_ptr<Generation> next_;  // while a reload is under way
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
  UniqueFd signals_;
  ServerState state_;
  uint64_t next_serial_ = 1;
  bool announced_ = false;
  bool upgraded_ = false;        // this version took over from another one
  bool upgrade_failed_ = false;  // that was said: its workers cannot start
  bool stopping_ = false;
  bool reload_again_ = false;
  int exit_code_ = 0;
  Time ping_at_ = coroutine::kNoDeadline;       // the service manager's watchdog
  Time kill_at_ = coroutine::kNoDeadline;       // stopping: who is left then is killed
  Time reload_limit_ = coroutine::kNoDeadline;  // the new generation must serve until then
};

}  // namespace cogi::server

#endif  // COGI_SERVER_MASTER_H_
