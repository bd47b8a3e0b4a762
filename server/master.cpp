#include "server/master.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <utility>

#include "server/log.h"
#include "server/pid_file.h"
#include "server/process.h"
#include "server/service_manager.h"

namespace cogi::server {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kKillGrace{3};  // beyond the drain limit

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
  GiveAllLogs(settings);
  const std::string refusal = OpenLogs(settings.pools.begin()->second.log, "master");
  if (!refusal.empty()) throw StartError(refusal);
  if (!BlockSignals()) throw StartError(Concat("signals cannot be received: ", ErrnoText(errno)));
  std::optional<Handover> before = TakeHandover();
  current_ =
      std::make_shared<Generation>(std::move(settings), nullptr, before ? &*before : nullptr);
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
        ReopenAllLogs();
        break;
      case SIGUSR2:
        SignalAll(SIGUSR2);
        break;
    }
  }
}

void Master::GiveAllLogs(const config::Settings& settings) {
  for (const auto& [name, pool] : settings.pools)
    if (const auto identity = LookUp(pool.user, pool.group)) GiveLogs(pool.log, *identity);
}

// The workers open theirs themselves, as the users that they are by now.
void Master::ReopenAllLogs() {
  try {
    GiveAllLogs(current_->settings);
  } catch (const std::exception& exception) {
    LogError(exception.what());
  }
  ReopenLogs();
  SignalAll(SIGUSR1);
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
  if (next_) next_->CloseListeners(nullptr);
  reload_limit_ = coroutine::kNoDeadline;
}

void Master::CheckLimits() {
  const auto now = coroutine::Clock::now();
  if (now >= ping_at_) {
    NotifyManager("WATCHDOG=1");
    ping_at_ = now + ManagerWatchdog() / 2;
  }
  if (now >= reload_limit_) AbandonReload(WhatIsAwaited());
  if (now < kill_at_) return;
  kill_at_ = coroutine::kNoDeadline;
  if (workers_.empty()) return;
  LogWarning(workers_.size(), " workers do not end; killing them");
  SignalAll(SIGKILL);
}

}  // namespace cogi::server
