#include "server/master.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <utility>

#include "config/load.h"
#include "server/log.h"
#include "server/pid_file.h"
#include "server/process.h"
#include "server/service_manager.h"
#include "server/watchdog.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kReadyLimit{30};  // a reload's new workers must serve within it
constexpr std::chrono::seconds kKillGrace{3};    // beyond the drain limit

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status))
    return Concat("was ended by signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")",
                  WCOREDUMP(status) ? ", core dumped" : "");
  return Concat("ended with exit code ", WEXITSTATUS(status));
}

}  // namespace

Master::Master(MasterOptions options) : options_(std::move(options)) {}
Master::~Master() = default;

int Master::Run() {
  try {
    Start();
  } catch (const std::exception& exception) {
    LogText(Level::kError, exception.what());
    return 1;
  }
  const int code = Supervise();
  if (!current_->settings.pid_file.empty()) unlink(current_->settings.pid_file.c_str());
  FlushLogs();
  return code;
}

void Master::Start() {
  config::Settings settings = options_.load();
  CheckUser(settings);
  const std::string refusal = OpenLogs(settings.pools.begin()->second.log, "master");
  if (!refusal.empty()) throw StartError(refusal);
  if (!BlockSignals()) throw StartError(Concat("signals cannot be received: ", ErrnoText(errno)));
  std::optional<Handover> before = TakeHandover();
  current_ = std::make_shared<Generation>(std::move(settings), nullptr,
                                          before ? &before->listeners : nullptr);
  if (before) Adopt(*before);
  if (ManagerWatchdog().count() > 0) ping_at_ = coroutine::Clock::now();
  state_.pid = getpid();
  const std::string pid_refusal = NoteState();
  if (!pid_refusal.empty()) throw StartError(pid_refusal);
  StartDueWorkers();
}

void Master::CheckUser(const config::Settings& settings) const {
  if (geteuid() != 0 || options_.allow_root) return;
  for (const auto& [name, pool] : settings.pools) {
    if (!pool.user.empty()) continue;
    if (!options_.directory)
      throw StartError(Concat("pool \"", name,
                              "\" would serve as root; give it a \"user\", or say "
                              "--allow-root if that is what you want"));
    LogWarning("serving as root; for more than a trial use a configuration with a \"user\"");
  }
}

std::string Master::NoteState() const {
  const std::string& path = current_->settings.pid_file;
  return path.empty() ? std::string() : WritePidFile(path, state_);
}

void Master::ReloadEnded(const std::string& why_not) {
  ++state_.reloads;
  state_.last_reload = why_not;
  if (why_not.empty()) {
    LogInfo("reloaded ", options_.what);
  } else {
    LogError(why_not);
  }
  const std::string refusal = NoteState();
  if (!refusal.empty()) LogError(refusal);
  NotifyManager("READY=1");
}

bool Master::BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD})
    sigaddset(&set, signal);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.Reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  return static_cast<bool>(signals_);
}

int Master::Supervise() {
  std::vector<pollfd> fds;
  while (!stopping_ || !workers_.empty()) {
    fds.assign(1, {signals_.get(), POLLIN, 0});
    for (const auto& worker : workers_)
      // -1: poll() passes over it. Without events it would still report the hang-up, for ever.
      fds.push_back({worker->silent ? -1 : worker->channel.get(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), PollTimeout()) < 0 && errno != EINTR)
      LogError("poll: ", ErrnoText(errno));
    for (size_t index = 1; index < fds.size(); ++index)
      if ((fds[index].revents & POLLIN) != 0) WorkerSpoke(*workers_[index - 1]);
    HandleSignals();
    ReapWorkers();
    CheckLimits();
    if (!stopping_) StartDueWorkers();
  }
  return exit_code_;
}

int Master::PollTimeout() const {
  Time next = std::min({kill_at_, reload_limit_, ping_at_});
  if (!stopping_)
    for (const auto& generation : {current_, next_})
      if (generation)
        for (const Generation::Slot& slot : generation->slots)
          if (!slot.occupied) next = std::min(next, slot.start_at);
  if (next == coroutine::kNoDeadline) return -1;
  const auto wait = std::chrono::ceil<milliseconds>(next - coroutine::Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, 1'000'000));
}

void Master::StartDueWorkers() {
  const auto now = coroutine::Clock::now();
  for (const auto& generation : {current_, next_})
    if (generation)
      for (size_t slot = 0; slot < generation->slots.size(); ++slot)
        if (!generation->slots[slot].occupied && generation->slots[slot].start_at <= now)
          StartWorker(generation, slot);
}

void Master::StartWorker(const std::shared_ptr<Generation>& generation, size_t slot) {
  int ends[2];
  pid_t pid = -1;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0) {
    FlushLogs();
    pid = fork();
    if (pid == 0) {
      Real().close(ends[0]);
      BecomeWorker(generation, slot, UniqueFd(ends[1]));
    }
    Real().close(ends[1]);
  }
  Generation::Slot& place = generation->slots[slot];
  if (pid < 0) {
    LogError("a worker of pool \"", *place.pool_name, "\" cannot be started: ", ErrnoText(errno));
    place.start_at = coroutine::Clock::now() + std::chrono::seconds(1);
    return;
  }
  auto worker = std::make_unique<WorkerProcess>();
  worker->pid = pid;
  worker->channel.Reset(ends[0]);
  worker->generation = generation;
  worker->slot = slot;
  worker->started = coroutine::Clock::now();
  place.occupied = true;
  ++next_serial_;
  workers_.push_back(std::move(worker));
}

void Master::BecomeWorker(const std::shared_ptr<Generation>& generation, size_t slot,
                          UniqueFd channel) {
  // The master's ends of the other channels must not live on here: a worker learns of the master's
  // death by the end of its channel.
  workers_.clear();
  signals_.Reset();
  const std::shared_ptr<Generation> kept = generation;
  current_.reset();
  next_.reset();
  const Generation::Slot& place = kept->slots[slot];
  const int code = RunWorker({.settings = kept->settings,
                              .pool_name = *place.pool_name,
                              .pool = *place.pool,
                              .listeners = kept->listeners.at(*place.pool_name),
                              .tls = kept->tls.at(*place.pool_name),
                              .scoreboards = kept->scoreboards,
                              .scoreboard = *kept->scoreboards.at(*place.pool_name),
                              .slot = place.number,
                              .serial = next_serial_,
                              .channel = std::move(channel),
                              .master = getppid()});
  FlushLogs();
  _exit(code);
}

void Master::WorkerSpoke(WorkerProcess& worker) {
  char byte = 0;
  if (Real().read(worker.channel.get(), &byte, 1) != 1) {
    worker.silent = true;  // it is ending
    return;
  }
  const Generation::Slot& slot = worker.generation->slots[worker.slot];
  const WorkerCounters& counters =
      (*worker.generation->scoreboards.at(*slot.pool_name))[slot.number];
  switch (byte) {
    case kWorkerReady:
      return WorkerReady(worker);
    case kWorkerStalled:
      LogError("worker ", worker.pid, " (", *slot.pool_name, "/", slot.number,
               "): a handler does not yield: ", DescribeStall(worker.pid, counters.stall));
      return;
    case kWorkerStuck:
      LogError("worker ", worker.pid, " (", *slot.pool_name, "/", slot.number,
               ") is stuck and replaced");
      kill(worker.pid, SIGKILL);
      return;
    default:
      return;
  }
}

void Master::WorkerReady(WorkerProcess& worker) {
  worker.ready = true;
  if (worker.generation == next_ && AllReady(*next_)) CompleteReload();
  if (announced_ || worker.generation != current_ || !AllReady(*current_)) return;
  announced_ = true;
  for (const auto& [pool, bound] : current_->listeners)
    for (const auto& listener : bound)
      LogInfo("serving ", options_.what, " on ", listener->shown(), " (pool ", pool, ", ",
              current_->settings.pools.at(pool).workers, " workers)");
  if (upgraded_) {
    for (const auto& other : workers_)
      if (other->generation != current_) Retire(*other);
    return ReloadEnded("");
  }
  NotifyManager("READY=1");
}

bool Master::AllReady(const Generation& generation) const {
  size_t ready = 0;
  for (const auto& worker : workers_)
    if (worker->generation.get() == &generation && worker->ready) ++ready;
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
  Generation::Slot& slot = worker.generation->slots[worker.slot];
  slot.occupied = false;
  slot.start_at = coroutine::kNoDeadline;
  worker.generation->scoreboards.at(*slot.pool_name)->operator[](slot.number).pid = 0;
  const bool cannot_start = WIFEXITED(status) && WEXITSTATUS(status) == kExitCannotStart;
  const std::string who =
      Concat("worker ", worker.pid, " (", *slot.pool_name, "/", slot.number, ")");
  if (stopping_ || worker.retired) {
    if (status != 0) LogWarning(who, " ", HowItEnded(status), " while it was ending");
    return;
  }
  if (cannot_start && !announced_) {
    // What it could not do at the first start it will not be able to do a second later.
    exit_code_ = 1;
    Stop(SIGTERM);
    return;
  }
  if (worker.generation == next_) return AbandonReload(Concat("a new worker ", HowItEnded(status)));
  ScheduleRestart(worker);
  LogError(who, " ", HowItEnded(status), "; another one starts in ", slot.back_off.count(), " ms");
}

void Master::ScheduleRestart(const WorkerProcess& worker) {
  const config::Settings& settings = worker.generation->settings;
  Generation::Slot& slot = worker.generation->slots[worker.slot];
  const auto now = coroutine::Clock::now();
  // A worker that has served for a while is replaced at once; one that dies young waits longer
  // each time.
  const bool young = !worker.ready || now - worker.started < std::chrono::seconds(1);
  slot.back_off = young && slot.back_off.count() > 0
                      ? std::min(slot.back_off * 2, settings.restart_max)
                      : settings.restart_min;
  slot.start_at = now + slot.back_off;
}

void Master::HandleSignals() {
  signalfd_siginfo info;
  while (Real().read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGTERM:
      case SIGQUIT:
      case SIGINT:
        Stop(static_cast<int>(info.ssi_signo));
        break;
      case SIGHUP:
        Reload();
        break;
      default:
        // RTMIN is no constant; else it is SIGCHLD: ReapWorkers()
        if (static_cast<int>(info.ssi_signo) == SIGRTMIN) Upgrade();
        break;
      case SIGUSR1:
        ReopenLogs();
        SignalAll(SIGUSR1);
        break;
      case SIGUSR2:
        SignalAll(SIGUSR2);
        break;
    }
  }
}

void Master::SignalAll(int signal) const {
  for (const auto& worker : workers_) kill(worker->pid, signal);
}

void Master::Stop(int signal) {
  const bool at_once = signal == SIGINT;
  const auto grace = at_once ? milliseconds(0) : current_->settings.drain;
  if (!stopping_ || at_once) {
    NotifyManager("STOPPING=1");
    LogInfo(at_once ? "stopping at once" : "stopping: requests in flight are finished");
    SignalAll(at_once ? SIGINT : SIGTERM);
    kill_at_ = coroutine::Clock::now() + grace + kKillGrace;
  }
  stopping_ = true;
  current_->CloseListeners(nullptr);
  reload_limit_ = coroutine::kNoDeadline;
}

void Master::CheckLimits() {
  const auto now = coroutine::Clock::now();
  if (now >= ping_at_) {
    NotifyManager("WATCHDOG=1");
    ping_at_ = now + ManagerWatchdog() / 2;
  }
  if (now >= reload_limit_) AbandonReload("the new workers did not begin to serve in time");
  if (now < kill_at_) return;
  kill_at_ = coroutine::kNoDeadline;
  if (workers_.empty()) return;
  LogWarning(workers_.size(), " workers do not end; killing them");
  SignalAll(SIGKILL);
}

void Master::Reload() {
  if (stopping_) return;
  if (next_) {  // one reload at a time; the last wish is not forgotten
    reload_again_ = true;
    return;
  }
  try {
    config::Settings settings = options_.load();
    CheckUser(settings);
    next_ = std::make_shared<Generation>(std::move(settings), current_.get());
  } catch (const std::exception& exception) {
    return ReloadEnded(Concat("reload refused, the old configuration goes on: ", exception.what()));
  }
  LogInfo("reloading ", options_.what);
  NotifyManager("RELOADING=1");
  reload_limit_ = coroutine::Clock::now() + kReadyLimit;
}

void Master::Upgrade() {
  if (stopping_ || next_ || !announced_) {
    LogWarning("no upgrade now: another change is under way");
    return;
  }
  const std::string refusal = CheckNewVersion(options_.directory ? "" : options_.path);
  if (!refusal.empty()) return ReloadEnded(Concat("upgrade refused: ", refusal));
  LogInfo("upgrading: the new version takes over");
  Handover handover;
  handover.next_serial = next_serial_;
  handover.reloads = state_.reloads;
  for (const auto& [pool, bound] : current_->listeners)
    for (const auto& listener : bound) handover.listeners[listener->address()] = listener->fd();
  for (const auto& worker : workers_)
    handover.workers.push_back({worker->pid, worker->channel.get()});
  FlushLogs();
  ReloadEnded(BecomeNewVersion(handover));
}

// Takes over the workers of the version before: they serve until this version's own do.
void Master::Adopt(const Handover& before) {
  upgraded_ = true;
  next_serial_ = before.next_serial;
  state_.reloads = before.reloads;
  for (const auto& [address, fd] : before.listeners) Real().close(fd);  // no longer wanted
  config::Settings settings;
  settings.drain = current_->settings.drain;
  settings.pools["before the upgrade"].workers = static_cast<uint32_t>(before.workers.size());
  const auto generation = std::make_shared<Generation>(std::move(settings), nullptr);
  for (size_t slot = 0; slot < before.workers.size(); ++slot) {
    auto worker = std::make_unique<WorkerProcess>();
    worker->pid = before.workers[slot].pid;
    worker->channel.Reset(before.workers[slot].channel);
    worker->generation = generation;
    worker->slot = slot;
    worker->started = coroutine::Clock::now();
    worker->ready = true;
    workers_.push_back(std::move(worker));
  }
}

void Master::AbandonReload(const std::string& why) {
  reload_limit_ = coroutine::kNoDeadline;
  for (const auto& worker : workers_)
    if (worker->generation == next_) {
      worker->retired = true;
      kill(worker->pid, SIGTERM);
    }
  if (next_) next_->CloseListeners(current_.get());
  next_.reset();
  ReloadEnded(Concat("reload failed, the old configuration goes on: ", why));
  if (std::exchange(reload_again_, false)) Reload();
}

void Master::CompleteReload() {
  reload_limit_ = coroutine::kNoDeadline;
  const std::shared_ptr<Generation> old = std::exchange(current_, std::move(next_));
  next_.reset();
  for (const auto& worker : workers_)
    if (worker->generation == old) Retire(*worker);
  old->CloseListeners(current_.get());
  const std::string refusal = OpenLogs(current_->settings.pools.begin()->second.log, "master");
  if (!refusal.empty()) LogError(refusal, "; going on with the old file");
  ReloadEnded("");
  if (std::exchange(reload_again_, false)) Reload();
}

void Master::Retire(WorkerProcess& worker) {
  worker.retired = true;
  if (Real().write(worker.channel.get(), &kMasterRetire, 1) != 1) kill(worker.pid, SIGTERM);
}

}  // namespace cogi::server
