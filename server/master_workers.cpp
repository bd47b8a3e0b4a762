// The master and its workers: started, heard, replaced.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "config/load.h"
#include "server/log.h"
#include "server/master.h"
#include "server/process.h"
#include "server/service_manager.h"
#include "server/watchdog.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kYoung{1};

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status))
    return Concat("was ended by signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")",
                  WCOREDUMP(status) ? ", core dumped" : "");
  return Concat("ended with exit code ", WEXITSTATUS(status));
}

}  // namespace

void Master::StartDueWorkers() {
  const auto now = coroutine::Clock::now();
  for (const auto& generation : {current_, next_})
    if (generation)
      for (size_t slot = 0; slot < generation->slots.size(); ++slot)
        if (!generation->slots[slot].occupied && generation->slots[slot].start_at <= now)
          StartWorker(generation, slot);
}

// A seat of the scoreboard that no process has: the slot's own, as a rule. All taken: as many as
// there are seats.
size_t Master::FreeSeat(const Generation& generation, size_t slot) const {
  const Generation::Slot& place = generation.slots[slot];
  const size_t seats = generation.scoreboards.at(*place.pool_name)->size();
  const auto taken = [&](size_t seat) {
    return std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
      return worker->generation.get() == &generation && worker->seat == seat &&
             generation.slots[worker->slot].pool_name == place.pool_name;
    });
  };
  size_t seat = place.number;
  while (seat < seats && taken(seat)) seat += place.pool->workers;
  return std::min(seat, seats);
}

std::string Master::Who(const WorkerProcess& worker) {
  const Generation::Slot& slot = worker.generation->slots[worker.slot];
  return Concat("worker ", worker.pid, " (", *slot.pool_name, "/", slot.number, ")");
}

WorkerCounters& Master::CountersOf(const WorkerProcess& worker) {
  const Generation& generation = *worker.generation;
  return (*generation.scoreboards.at(*generation.slots[worker.slot].pool_name))[worker.seat];
}

// What a worker has written of its start. It may be anything: bounded, and on one line.
std::string Master::WordOfStart(const WorkerProcess& worker) {
  const WorkerCounters& counters = CountersOf(worker);
  std::string text(counters.start, strnlen(counters.start, sizeof counters.start));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  return text;
}

void Master::StartWorker(const std::shared_ptr<Generation>& generation, size_t slot) {
  Generation::Slot& place = generation->slots[slot];
  const size_t seat = FreeSeat(*generation, slot);
  if (seat == generation->scoreboards.at(*place.pool_name)->size()) {
    place.start_at = coroutine::Clock::now() + kYoung;  // failing workers have still to end
    return;
  }
  UniqueFd channel, workers_end;
  int ends[2];
  pid_t pid = -1;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0) {
    channel.Reset(ends[0]);
    workers_end.Reset(ends[1]);
    FlushLogs();
    pid = fork();
    if (pid == 0) {
      channel.Reset();
      BecomeWorker(generation, slot, seat, std::move(workers_end));
    }
  }
  if (pid < 0) {
    LogError("a worker of pool \"", *place.pool_name, "\" cannot be started: ", ErrnoText(errno));
    place.start_at = coroutine::Clock::now() + kYoung;
    return;
  }
  auto worker = std::make_unique<WorkerProcess>();
  worker->pid = pid;
  worker->channel = std::move(channel);
  worker->generation = generation;
  worker->slot = slot;
  worker->seat = seat;
  worker->started = coroutine::Clock::now();
  place.occupied = true;
  ++next_serial_;
  workers_.push_back(std::move(worker));
}

void Master::BecomeWorker(const std::shared_ptr<Generation>& generation, size_t slot, size_t seat,
                          UniqueFd channel) {
  // The master's ends of the other channels must not live on here: a worker learns of the master's
  // death by the end of its channel.
  workers_.clear();
  signals_.Reset();
  CloseInheritedSockets();
  const std::shared_ptr<Generation> kept = generation;
  const bool is_new = generation == next_ || !announced_;
  current_.reset();
  next_.reset();
  const Generation::Slot& place = kept->slots[slot];
  kept->CloseListenersBut(*place.pool_name);
  const config::Pool pool = config::SeenFromInside(*place.pool);
  const int code = RunWorker({.settings = kept->settings,
                              .pool_name = *place.pool_name,
                              .pool = pool,
                              .listeners = kept->listeners.at(*place.pool_name),
                              .tls = kept->tls.at(*place.pool_name),
                              .scoreboards = kept->scoreboards,
                              .scoreboard = *kept->scoreboards.at(*place.pool_name),
                              .slot = place.number,
                              .seat = seat,
                              .checks_itself = is_new,
                              .serial = next_serial_,
                              .channel = std::move(channel),
                              .master = state_.pid});
  FlushLogs();
  _exit(code);
}

void Master::WorkerSpoke(WorkerProcess& worker) {
  char byte = 0;
  if (Real().read(worker.channel.get(), &byte, 1) != 1) {
    worker.silent = true;  // it is ending
    return;
  }
  switch (byte) {
    case kWorkerReady:
      return WorkerReady(worker);
    case kWorkerFails:
      return WorkerFails(worker);
    case kWorkerStalled:
      LogError(Who(worker),
               ": a handler does not yield: ", DescribeStall(worker.pid, CountersOf(worker).stall));
      return;
    case kWorkerStuck:
      LogError(Who(worker), " is stuck and replaced");
      kill(worker.pid, SIGKILL);
      return;
    default:
      return;
  }
}

void Master::WorkerReady(WorkerProcess& worker) {
  worker.ready = true;
  for (const auto& other : workers_)
    if (other->failing && !other->retired && other->generation == worker.generation &&
        other->slot == worker.slot)
      Retire(*other);
  if (worker.generation == next_ && AllReady(*next_)) CompleteReload();
  if (announced_ || worker.generation != current_ || !AllReady(*current_)) return;
  announced_ = true;
  for (const auto& [pool, bound] : current_->listeners)
    for (const auto& listener : bound) {
      const uint32_t workers = current_->settings.pools.at(pool).workers;
      LogInfo("serving ", options_.what, " on ", listener->shown(), " (pool ", pool, ", ", workers,
              workers == 1 ? " worker)" : " workers)");
    }
  if (upgraded_) {
    // Those of the version before; a reload may be under way already, whose workers stay.
    for (const auto& other : workers_)
      if (other->generation != current_ && other->generation != next_) Retire(*other);
    return ReloadEnded("");
  }
  NotifyManager("READY=1");
}

// A program has crashed in the worker. It serves on until another one has its slot, so that the
// listeners never stand unserved, and not longer: its memory may have suffered.
void Master::WorkerFails(WorkerProcess& worker) {
  if (worker.failing || worker.retired || stopping_) return;
  if (worker.generation != current_ && worker.generation != next_) return;
  worker.failing = true;
  LogError(Who(worker), " is replaced: a program has crashed in it, or had to be ended");
  const auto now = coroutine::Clock::now();
  Generation::Slot& slot = worker.generation->slots[worker.slot];
  slot.occupied = false;
  // At most one new worker a second, however often programs crash.
  slot.start_at = std::max(now, worker.started + kYoung);
}

bool Master::AllReady(const Generation& generation) const {
  size_t ready = 0;
  for (const auto& worker : workers_)
    if (worker->generation.get() == &generation && worker->ready && !worker->failing) ++ready;
  return ready == generation.slots.size();
}

void Master::ReapWorkers() {
  int status = 0;
  pid_t pid;
  // Everybody's, not only the workers': as PID 1 of a container the master inherits orphans.
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    const auto found = std::find_if(workers_.begin(), workers_.end(),
                                    [&](const auto& worker) { return worker->pid == pid; });
    if (found == workers_.end()) continue;
    const auto worker = std::move(*found);
    workers_.erase(found);
    WorkerEnded(*worker, status);
  }
}

void Master::WorkerEnded(WorkerProcess& worker, int status) {
  CountersOf(worker).pid = 0;
  const std::string who = Who(worker);
  if (worker.failing) {  // the slot is another's, or will be
    if (status != 0) LogError(who, " ", HowItEnded(status));
    return;
  }
  Generation::Slot& slot = worker.generation->slots[worker.slot];
  slot.occupied = false;
  slot.start_at = coroutine::kNoDeadline;
  // The workers of the version before an upgrade end by themselves, if that one had retired them.
  const bool ours = worker.generation == current_ || worker.generation == next_;
  if (stopping_ || worker.retired || !ours) {
    if (status != 0) LogWarning(who, " ", HowItEnded(status), " while it was ending");
    return;
  }
  const bool cannot_start = WIFEXITED(status) && WEXITSTATUS(status) == kExitCannotStart;
  if (worker.generation == next_)
    return AbandonReload(Concat("a new worker ", cannot_start
                                                     ? Concat("cannot serve: ", WordOfStart(worker))
                                                     : HowItEnded(status)));
  if (cannot_start && !announced_ && !upgraded_) {
    // What it could not do at the first start it will not be able to do a second later.
    exit_code_ = 1;
    Stop(SIGTERM);
    return;
  }
  // Those of the version before serve on meanwhile, and this one's are tried again.
  if (cannot_start && !announced_ && !std::exchange(upgrade_failed_, true))
    ReloadEnded(Concat("the new version's workers cannot serve yet, the old ones go on: ",
                       WordOfStart(worker)));
  ScheduleRestart(worker);
  LogError(who, " ", HowItEnded(status), "; another one starts in ", slot.back_off.count(), " ms");
}

void Master::ScheduleRestart(const WorkerProcess& worker) {
  const config::Settings& settings = worker.generation->settings;
  Generation::Slot& slot = worker.generation->slots[worker.slot];
  const auto now = coroutine::Clock::now();
  // A worker that has served for a while is replaced at once; one that dies young waits longer
  // each time.
  const bool young = !worker.ready || now - worker.started < kYoung;
  slot.back_off = young && slot.back_off.count() > 0
                      ? std::min(slot.back_off * 2, settings.restart_max)
                      : settings.restart_min;
  slot.start_at = now + slot.back_off;
}

void Master::Retire(WorkerProcess& worker) {
  if (worker.retired) return;
  worker.retired = true;
  if (Real().write(worker.channel.get(), &kMasterRetire, 1) != 1) kill(worker.pid, SIGTERM);
}

void Master::SignalAll(int signal) const {
  for (const auto& worker : workers_) kill(worker->pid, signal);
}

}  // namespace cogi::server
