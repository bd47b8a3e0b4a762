#include "server/worker.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "coroutine/event_loop.h"
#include "hooks/file_helper.h"
#include "server/confinement.h"
#include "server/connection.h"
#include "server/log.h"
#include "server/process.h"
#include "server/router.h"
#include "server/self_check.h"
#include "server/temporary_folder.h"
#include "server/watchdog.h"
#include "server/worker_signals.h"

namespace cogi::server {
namespace {

constexpr std::chrono::milliseconds kFlushDelay{200};
// A request that takes longer is looked at so often: does its client still wait?
constexpr std::chrono::milliseconds kClientCheck{1000};

cgi::Limits LimitsOf(const config::Pool& pool) {
  cgi::Limits limits;
  limits.request_line = pool.limits.request_line;
  limits.header_block = pool.limits.header_block;
  limits.header_fields = pool.limits.headers;
  limits.params_bytes = pool.limits.fastcgi_params;
  limits.params_pairs = pool.limits.fastcgi_pairs;
  limits.body = pool.limits.body;
  for (const config::Route& route : pool.routes)
    limits.body = std::max(limits.body, route.limits.body);
  limits.header_time = pool.timeouts.header;
  limits.keep_alive = pool.timeouts.keep_alive;
  limits.body_memory = pool.limits.body_memory;
  limits.spool_folder = TemporaryFolder().c_str();
  limits.body_idle = pool.timeouts.body;
  limits.body_min_rate = pool.limits.body_rate;
  limits.send_idle = pool.timeouts.send;
  limits.requests_per_connection = pool.limits.keep_alive_requests;
  return limits;
}

coroutine::SchedulerOptions SchedulerOptionsOf(const config::Coroutines& settings) {
  coroutine::SchedulerOptions options;
  options.shared_stacks = settings.shared_stacks;
  options.max_coroutines = settings.max;
  if (settings.stack == config::StackMode::kShared) {
    options.shared_stack_size = settings.stack_size;
  } else {
    options.private_stack_size = settings.stack_size;
  }
  return options;
}

// An order for which there is no memory is tried again after so long.
constexpr std::chrono::milliseconds kOrderPause{100};

// Insist() calls `order`, which throws before it has changed anything, until it does not. Yields.
template <class Order>
void Insist(Order order) {
  for (;;) {
    try {
      return order();
    } catch (const std::exception& exception) {
      static LogLimiter limiter;
      limiter.Log(Level::kError, "what was ordered cannot be done now: ", exception.what(),
                  "; trying again in 100 ms");
    }
    if (coroutine::SleepFor(kOrderPause) == coroutine::WakeReason::kCancelled) return;
  }
}

int g_channel = -1;  // of this process's worker

void SayOfStart(WorkerCounters& counters, std::string_view what) {
  counters.start[what.copy(counters.start, sizeof counters.start - 1)] = '\0';
}

// Base 36, so that an id fits a short string.
std::string Base36(uint64_t number) {
  char digits[16];
  return {digits, std::to_chars(digits, digits + sizeof digits, number, 36).ptr};
}

}  // namespace

Worker::Worker(WorkerOrders orders)
    : orders_(std::move(orders)),
      counters_(orders_.scoreboard[orders_.seat]),
      limits_(LimitsOf(pool())),
      clients_(keeper_.AddQueue(kClientCheck)),
      totals_(keeper_.AddQueue(pool().timeouts.total)),
      id_prefix_(
          Concat(Base36(static_cast<uint64_t>(orders_.master)), "-", Base36(orders_.serial), "-")),
      scheduler_(SchedulerOptionsOf(pool().coroutine)) {
  hooks::OffloadFiles(pool().coroutine.offload_files);
  spawn_options_.name = "connection";
  if (pool().coroutine.stack == config::StackMode::kPrivate)
    spawn_options_.stack_mode = coroutine::StackMode::kPrivate;
  scheduler_.OnUncaught([](coroutine::Coroutine& self, std::exception_ptr thrown) {
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (const std::exception& exception) {
      LogError("coroutine ", coroutine::Name(self), " ended by an exception: ", exception.what());
    } catch (...) {
      LogError("coroutine ", coroutine::Name(self), " ended by an exception of an unknown type");
    }
  });
  const ServerView view{.scoreboards = orders_.scoreboards, .draining = draining_};
  router_ = std::make_unique<Router>(pool(), keeper_, counters_, view);
  for (size_t index = 0; index < pool().listen.size(); ++index)
    for (const auto source : {Acceptor::Source::kListener, Acceptor::Source::kRelay}) {
      if (source == Acceptor::Source::kRelay && orders_.tls[index] != nullptr) continue;
      acceptors_.push_back(std::make_unique<Acceptor>(
          *this, source, pool().listen[index], orders_.listeners[index], orders_.tls[index].get()));
    }
}

Worker::~Worker() = default;

cgi::Handler& Worker::router() const { return *router_; }

cgi::fcgi::Values Worker::fastcgi_values() const {
  const config::Limits& limits = pool().limits;
  const uint64_t connections = uint64_t{limits.connections} * pool().workers;
  return {.max_connections = static_cast<uint32_t>(std::min<uint64_t>(connections, UINT32_MAX)),
          .max_requests = std::min(limits.fastcgi_requests, limits.connections),
          .multiplexes = limits.fastcgi_requests > 1};
}

bool Worker::TakeFastCgiPlace() {
  if (fastcgi_requests_ >= pool().limits.connections) return false;
  ++fastcgi_requests_;
  return true;
}

std::string Worker::NextId() {
  char digits[16];
  std::string id = id_prefix_;
  id.append(digits, std::to_chars(digits, digits + sizeof digits, next_id_++, 36).ptr);
  return id;
}

void Worker::Run() {
  counters_.connections = 0;
  counters_.running = 0;
  counters_.waiting = 0;
  counters_.pid = getpid();
  coroutine::Go([this] { WatchSignals(); }, {.name = "signals"});
  coroutine::Go([this] { WatchMaster(); }, {.name = "master"});
  coroutine::Go([this] { FlushAccessLog(); }, {.name = "access log"});
  OnAccessPending([this] { flusher_.WakeOne(); });
  keeper_.Start();
  const Watchdog watchdog(*this, orders_.settings, orders_.channel.get());
  g_channel = orders_.channel.get();
  if (orders_.checks_itself && !pool().self_check.empty()) {
    coroutine::Go([this] { CheckItself(); }, spawn_options_);
  } else {
    BeginToServe();
  }
  scheduler_.Run();
  counters_.pid = 0;
  OnAccessPending({});
  FlushLogs();
  if (!refusal_.empty()) throw StartError(refusal_);
}

void Worker::CheckItself() {
  refusal_ = CheckSelf(pool(), limits_, *router_,
                       [this](std::string_view what) { SayOfStart(counters_, what); });
  if (!refusal_.empty()) return scheduler_.Stop();
  if (!draining_) BeginToServe();
}

void Worker::BeginToServe() {
  SayOfStart(counters_, "");
  for (const auto& acceptor : acceptors_) acceptor->Start();
  TellMaster(kWorkerReady);
}

void Worker::WatchSignals() {
  const UniqueFd signals(InstallWorkerSignals());
  if (!signals) {
    LogError("signals cannot be received: ", ErrnoText(errno));
    return;
  }
  for (;;) {
    unsigned char signal = 0;
    const ssize_t got = Real().read(signals.get(), &signal, 1);
    if (got != 1) {
      coroutine::MarkDrained(signals.get(), EPOLLIN);
      if (coroutine::WaitFd(signals.get(), EPOLLIN, coroutine::kNoDeadline) !=
          coroutine::WakeReason::kReady)
        return;
      continue;
    }
    switch (signal) {
      case SIGTERM:
      case SIGQUIT:
        Insist([this] { Drain(End::kStop); });
        break;
      case SIGINT:
        FlushLogs();
        _exit(kExitDone);
      case SIGUSR1:
        Insist(ReopenLogs);
        break;
      case SIGUSR2:
        Insist([this] { DumpRequests(); });
        break;
      default:  // HUP is the master's business
        break;
    }
  }
}

void Worker::WatchMaster() {
  for (;;) {
    char order = 0;
    const ssize_t got = Real().read(orders_.channel.get(), &order, 1);
    if (got == 1) {
      if (order == kMasterRetire) Insist([this] { Drain(End::kRetire); });
      continue;
    }
    if (got == 0) {
      LogWarning("the master has died; draining");
      Insist([this] { Drain(End::kStop); });
      return;
    }
    coroutine::MarkDrained(orders_.channel.get(), EPOLLIN);
    if (coroutine::WaitFd(orders_.channel.get(), EPOLLIN, coroutine::kNoDeadline) !=
        coroutine::WakeReason::kReady)
      return;
  }
}

void Worker::FlushAccessLog() {
  coroutine::Coroutine* self = coroutine::Current();
  for (;;) {
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
    node.coroutine = self;
    flusher_.Add(node);
    if (coroutine::Park(coroutine::WaitKind::kTimer, 0) != coroutine::WakeReason::kReady) return;
    if (coroutine::SleepFor(kFlushDelay) != coroutine::WakeReason::kTimeout) return;
    FlushLogs();
  }
}

// Stop: resting connections are closed at once. Retire: a client may be writing its next request on
// one that rests, and nobody shall lose a request by a reload; so these go to other workers, and
// those that answer a request follow when they rest.
void Worker::Drain(End end) {
  const bool close_idle = end == End::kStop;
  if (draining_ && (idle_closed_ || !close_idle)) return;
  if (!draining_) {
    coroutine::Go([this] { EndDrain(); }, {.name = "drain"});
    draining_ = true;
    for (const auto& acceptor : acceptors_) acceptor->Stop(close_idle);
  }
  idle_closed_ = close_idle;
  for (Connection* connection = first_; connection != nullptr; connection = connection->next) {
    if (close_idle) {
      connection->Retire();
    } else {
      connection->Leave();
    }
  }
}

void Worker::EndDrain() {
  const coroutine::Deadline deadline = coroutine::After(orders_.settings.drain);
  coroutine::Yield();  // the acceptors take what the kernel holds for them
  while (connections_ > 0) {
    drained_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    if (coroutine::Park(coroutine::WaitKind::kJoin, 0, deadline) == coroutine::WakeReason::kTimeout)
      break;
  }
  if (connections_ > 0)
    LogWarning(connections_, " connections are cut: they did not end within the drain limit of ",
               orders_.settings.drain.count(), " ms");
  router_->End(deadline);
  scheduler_.Stop();
}

void Worker::StopIfDrained() {
  if (connections_ == 0) drained_.WakeAll();
}

void Worker::DumpRequests() {
  constexpr size_t kMost = 1000;
  const auto now = coroutine::Clock::now();
  size_t shown = 0;
  for (const Connection* connection = first_; connection != nullptr; connection = connection->next)
    connection->ForEachRequest([&](const ActiveRequest& active) {
      if (++shown > kMost) return;
      const cgi::Request& request = active.request();
      const auto age =
          std::chrono::duration_cast<std::chrono::milliseconds>(now - active.started());
      LogInfo("request ", request.id(), " of ", connection->remote_address(), ": ",
              request.method(), " ", request.target(), " for ", age.count(), " ms");
    });
  const coroutine::Scheduler::Stats stats = scheduler_.stats();
  LogInfo(shown, " requests, ", connections_, " connections, ", stats.live, " coroutines, ",
          stats.save_bytes, " bytes of saved stacks");
}

void Worker::WhatRuns(char* text, size_t size) const {
  const coroutine::Coroutine* running = coroutine::Current();
  std::string_view what = running == nullptr ? "the event loop" : coroutine::Name(*running);
  for (const Connection* connection = first_; connection != nullptr; connection = connection->next)
    connection->ForEachRequest([&](const ActiveRequest& active) {
      if (running != nullptr && active.coroutine() == running) what = active.request().target();
    });
  const size_t length = std::min(what.size(), size - 1);
  std::memcpy(text, what.data(), length);
  text[length] = '\0';
}

void Worker::HandOverResting() const {
  for (const Connection* connection = first_; connection != nullptr; connection = connection->next)
    connection->HandOver();
}

void TellMaster(char message) {
  if (g_channel >= 0 && Real().write(g_channel, &message, 1) != 1)
    LogWarning("the master cannot be told ", std::string_view(&message, 1), ": ", ErrnoText(errno));
}

int RunWorker(WorkerOrders orders) {
  const config::Pool& pool = orders.pool;
  const std::string name = Concat(orders.pool_name, "/", orders.slot);
  WorkerCounters& counters = orders.scoreboard[orders.seat];
  SayOfStart(counters, "");
  try {
    const std::optional<Identity> identity = LookUp(pool.user, pool.group);
    EnterChroot(pool.confine.chroot);
    if (const std::string refusal = OpenLogs(pool.log, name); !refusal.empty())
      throw StartError(refusal);
    if (identity) DropPrivileges(*identity);
    Confine(pool.confine);
    DieWithMaster(orders.master);
    Worker worker(std::move(orders));
    worker.Run();
    return kExitDone;
  } catch (const std::exception& exception) {
    SayOfStart(counters, exception.what());
    LogError("this worker cannot start: ", exception.what());
    return kExitCannotStart;
  }
}

}  // namespace cogi::server
