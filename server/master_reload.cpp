// How the master changes: another configuration, another version of itself.
#include <csignal>
#include <exception>
#include <utility>

#include "config/load.h"
#include "server/log.h"
#include "server/master.h"
#include "server/service_manager.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kReadyLimit{30};  // a reload's new workers must serve within it

}  // namespace

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

std::shared_ptr<Generation> Master::MakeNext(config::Settings settings) const {
  CheckUser(settings);
  GiveAllLogs(settings);
  return std::make_shared<Generation>(std::move(settings), current_.get());
}

void Master::Reload() {
  if (stopping_) return;
  if (next_) {  // one reload at a time; the last wish is not forgotten
    reload_again_ = true;
    return;
  }
  try {
    next_ = MakeNext(options_.load());
  } catch (const std::exception& exception) {
    return ReloadEnded(Concat("reload refused, the old configuration goes on: ", exception.what()));
  }
  LogInfo("reloading ", options_.what);
  NotifyReloading();
  reload_limit_ = coroutine::Clock::now() + kReadyLimit;
}

std::string Master::WhatIsAwaited() const {
  std::string text = "the new workers did not begin to serve in time";
  for (const auto& worker : workers_) {
    const std::string word = worker->generation == next_ ? WordOfStart(*worker) : "";
    if (!word.empty()) return Concat(text, ": ", word);
  }
  return text;
}

void Master::AbandonReload(const std::string& why) {
  reload_limit_ = coroutine::kNoDeadline;
  for (const auto& worker : workers_)
    if (worker->generation == next_) Retire(*worker);  // it may have connections already
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

// Whether there can be a generation of the configuration as it is now: the new version has nobody
// to fall back on. What only that one understands of it, it has checked itself.
std::string Master::TryNext() const {
  try {
    MakeNext(options_.load())->CloseListeners(current_.get());
  } catch (const config::Error&) {
  } catch (const std::exception& exception) {
    return exception.what();
  }
  return {};
}

void Master::Upgrade() {
  if (stopping_ || next_ || !announced_) {
    LogWarning("no upgrade now: another change is under way");
    return;
  }
  std::string refusal = CheckNewVersion(options_.directory ? "" : options_.path);
  if (refusal.empty()) refusal = TryNext();
  if (!refusal.empty()) return ReloadEnded(Concat("upgrade refused: ", refusal));
  LogInfo("upgrading: the new version takes over");
  Handover handover;
  handover.next_serial = next_serial_;
  handover.reloads = state_.reloads;
  for (const auto& [pool, bound] : current_->listeners)
    for (const auto& listener : bound)
      handover.listeners[listener->address()] = {listener->fd(), listener->relay().in(),
                                                 listener->relay().out()};
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
  for (const auto& [address, unwanted] : before.listeners)
    for (const int fd : {unwanted.fd, unwanted.relay_in, unwanted.relay_out}) Real().close(fd);
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

}  // namespace cogi::server
