// ProcessPool: links to FastCGI processes that this worker starts and watches itself: packaged
// FastCGI programs, php-cgi. One per route and worker.
//
// The worker does this, not the master: it alone knows the demand, as it arises, and which process
// has which request, so that one that hangs is ended with its request. The price: limits count per
// worker.
//
// A process answers one request at a time, over a connection that is kept. One is started when a
// request finds none at rest, up to the maximum; then requests wait, the longest first. A process
// that ends before it has answered anything makes the next start wait, 100 ms at first, doubling to
// 30 s. What it writes to its stdout and stderr goes to the error log.
#ifndef COGI_SERVER_UPSTREAM_PROCESS_POOL_H_
#define COGI_SERVER_UPSTREAM_PROCESS_POOL_H_

#include <list>
#include <memory>
#include <string>

#include "cgi/fcgi_client.h"
#include "config/settings.h"
#include "coroutine/coroutine.h"
#include "coroutine/wait.h"
#include "server/program/program_io.h"
#include "server/upstream/link.h"
#include "server/upstream/process.h"

namespace cogi::server {

class ProcessPool final : public LinkSource {
 public:
  // `route` must outlive it.
  explicit ProcessPool(const config::Route& route);
  // Ends the processes: SIGTERM, then SIGKILL to those that take longer than a second.
  ~ProcessPool() override;

  // Check() returns "" or why the executable cannot be run, and the mend.
  [[nodiscard]] std::string Check() const;
  // StartLeast() starts as many processes as shall always run.
  void StartLeast();

  std::unique_ptr<Link> Take(bool fresh, LinkRefusal* refusal) override;
  void Return(std::unique_ptr<Link> link, LinkEnd end) noexcept override;
  [[nodiscard]] std::string NameOf(const Link& link) const override;
  [[nodiscard]] bool keeps() const override { return true; }
  [[nodiscard]] std::string executable() const override { return command_.words.front(); }

 private:
  // A process, from its start until it was reaped.
  struct Process {
    SpawnedProcess spawned;
    UniqueFd kept;     // the connection to it, while it rests or ends a given up request
    ErrorLines lines;  // of its stderr
    coroutine::Coroutine* watcher = nullptr;
    enum class State : uint8_t {
      kRests,
      kAnswers,  // a request has its link
      kGivesUp,  // it still works for a request that nobody waits for any more
      kEnds,     // it has been told to
    } state = State::kRests;
    bool linked = false;                   // a request has its link
    bool broke_off = false;                // the last request failed by its doing
    bool gone = false;                     // reaped; linked, or it would not be here any more
    uint32_t answered = 0;                 // requests
    coroutine::Deadline since{};           // it is in that state
    size_t left_bytes = 0;                 // kGivesUp: that came since
    cgi::fcgi::ResponseReceiver receiver;  // kGivesUp: what is left of that answer
  };

  Process* Resting();
  Process* StartOne();
  bool Await(coroutine::Deadline until, LinkRefusal* refusal);
  bool LinkTo(Process& process, Link& link);
  void Enter(Process& process, Process::State what);
  void Free(Process& process);
  void End(Process& process);
  void Wake();
  void NoteFailure(std::string what);

  [[nodiscard]] size_t live() const { return processes_.size() - ending_; }
  void Watch(Process& process);
  int WatchUntilEnd(Process& process);
  [[nodiscard]] coroutine::Deadline NextLook(const Process& process) const;
  void Look(Process& process);
  void ReadErrors(Process& process);
  void ReadRest(Process& process);
  void Ended(Process& process, int status);
  void KeepLeast();
  void Drop(Process& process);

  const config::Route& route_;
  const config::Upstream& settings_;
  ProcessCommand command_;
  std::list<Process> processes_;
  uint32_t ending_ = 0;             // of them, those that end: they do not count any more
  uint32_t failures_ = 0;           // in a row
  std::string failure_;             // the last one
  coroutine::Deadline start_at_{};  // no start before
  coroutine::WaitList queue_;
  uint32_t woken_ = 0;  // who left the queue and has not run yet: newcomers do not overtake them
};

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_PROCESS_POOL_H_
