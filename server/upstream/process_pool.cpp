#include "server/upstream/process_pool.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/exec/spawn.h"
#include "server/log.h"

namespace cogi::server {
namespace {

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{30'000};
constexpr std::chrono::seconds kLastGrace{1};  // to end in when the worker ends
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void Close(UniqueFd& fd) {
  if (fd) coroutine::ForgetFd(fd.get());
  fd.Reset();
}

// Of a process that was killed. Blocks the thread until then.
void AwaitDeath(const SpawnedProcess& process) {
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  int status = 0;
  static_cast<void>(Real().poll(&ended, 1, -1));
  static_cast<void>(ReapProcess(process, &status));
}

}  // namespace

ProcessPool::ProcessPool(const config::Route& route) : route_(route), settings_(route.upstream) {
  command_.words = settings_.command;
  command_.directory = settings_.directory;
  if (!settings_.environment.contains("PATH")) command_.environment.emplace_back(kPath);
  for (const auto& [name, value] : settings_.environment)
    command_.environment.push_back(Concat(name, "=", value));
  ReserveSpawnDescriptors();
}

ProcessPool::~ProcessPool() {
  for (const Process& process : processes_) SignalGroup(process.spawned, SIGTERM);
  const auto until = coroutine::After(kLastGrace);
  for (const Process& process : processes_) {
    pollfd ended{process.spawned.pidfd.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - coroutine::Clock::now());
    static_cast<void>(Real().poll(&ended, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))));
    SignalGroup(process.spawned, SIGKILL);
    AwaitDeath(process.spawned);
  }
}

std::string ProcessPool::Check() const {
  const std::string& path = command_.words.front();
  if (access(path.c_str(), X_OK) == 0) return "";
  return Concat(path, " cannot be executed: ", ErrnoText(errno), "; chmod +x makes it run");
}

void ProcessPool::StartLeast() {
  while (live() < settings_.min_processes && StartOne() != nullptr) {
  }
}

std::string ProcessPool::NameOf(const Link& link) const {
  return Concat(command_.words.front(), " [", static_cast<const Process*>(link.place)->spawned.pid,
                "]");
}

void ProcessPool::Enter(Process& process, Process::State what) {
  if (process.state == Process::State::kEnds) return;
  process.state = what;
  process.since = coroutine::Clock::now();
}

// The one that has rested the shortest, so that those that are not needed can end.
ProcessPool::Process* ProcessPool::Resting() {
  Process* found = nullptr;
  for (Process& process : processes_)
    if (process.state == Process::State::kRests &&
        (found == nullptr || process.since > found->since))
      found = &process;
  return found;
}

void ProcessPool::NoteFailure(std::string what) {
  failure_ = std::move(what);
  const auto pause = std::min(kFirstPause * (1U << std::min(failures_, 20U)), kLongestPause);
  ++failures_;
  start_at_ = coroutine::After(pause);
}

ProcessPool::Process* ProcessPool::StartOne() {
  Process& process = processes_.emplace_back();
  if (const int error = StartProcess(command_, &process.spawned)) {
    processes_.pop_back();
    NoteFailure(Concat("cannot be started: ", ErrnoText(error)));
    LogError("route ", route_.path, ": ", command_.words.front(), " ", failure_);
    return nullptr;
  }
  process.lines.Begin([this, pid = process.spawned.pid](std::string_view line) {
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, command_.words.front(), " [", pid, "]: ", line);
  });
  Enter(process, Process::State::kRests);
  try {
    process.watcher =
        coroutine::Go([this, &process] { Watch(process); }, {.name = "process watcher"});
  } catch (const std::exception& exception) {
    const std::string why = exception.what();
    SignalGroup(process.spawned, SIGKILL);
    AwaitDeath(process.spawned);
    processes_.pop_back();
    NoteFailure(Concat("cannot be watched: ", why));
    return nullptr;
  }
  // Others that were few enough to stay may now be too many.
  for (const Process& other : processes_)
    if (other.watcher != nullptr) coroutine::Cancel(*other.watcher);
  return &process;
}

// False if the process does not listen any more: it is about to be found dead.
bool ProcessPool::LinkTo(Process& process, Link& link) {
  link.place = &process;
  link.used = process.kept && process.answered > 0;
  if (process.kept && !IsStale(process.kept.get())) {
    link.fd = std::move(process.kept);
    return true;
  }
  Close(process.kept);
  link.used = false;
  const UpstreamAddress address = AddressOf(process.spawned);
  // A unix socket answers at once.
  const int error =
      ConnectTo(address.address, address.size, coroutine::After(route_.timeouts.connect), &link.fd);
  if (error == 0) return true;
  if (error != ECANCELED) End(process);
  return false;
}

// Waits for a process at rest, or until one may be started.
bool ProcessPool::Await(coroutine::Deadline until, LinkRefusal* refusal) {
  const bool may_start = live() < settings_.max_processes;
  coroutine::Coroutine* self = coroutine::Current();
  coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
  node.coroutine = self;
  queue_.Add(node);
  const auto reason = coroutine::Park(coroutine::WaitKind::kAdmission, settings_.max_processes,
                                      may_start ? std::min(until, start_at_) : until);
  if (reason == coroutine::WakeReason::kCancelled) return false;
  if (reason == coroutine::WakeReason::kReady) {  // what it was woken for is its own, however late
    --woken_;
    return true;
  }
  if (coroutine::Clock::now() < until) return true;
  *refusal = {503, may_start ? Concat(command_.words.front(), " ", failure_)
                             : Concat("all ", settings_.max_processes, " processes of ",
                                      command_.words.front(), " are busy")};
  return false;
}

std::unique_ptr<Link> ProcessPool::Take(bool fresh, LinkRefusal* refusal) {
  static_cast<void>(fresh);  // a process that failed is ended, so this is another one anyway
  const auto until = coroutine::After(route_.timeouts.queue);
  auto link = std::make_unique<Link>();
  bool queued = false;
  *refusal = {};
  for (;;) {
    Process* process = nullptr;
    if (queued || (queue_.empty() && woken_ == 0)) {
      process = Resting();
      if (process == nullptr && live() < settings_.max_processes &&
          coroutine::Clock::now() >= start_at_)
        process = StartOne();
    }
    if (process != nullptr) {
      Enter(*process, Process::State::kAnswers);
      process->linked = true;
      if (LinkTo(*process, *link)) return link;
      process->linked = false;
      if (process->gone) {
        Drop(*process);
      } else if (process->state == Process::State::kAnswers) {  // it was not asked anything
        Enter(*process, Process::State::kRests);
        Wake();
      }
      if (coroutine::Cancelled(*coroutine::Current())) return nullptr;
      continue;
    }
    queued = true;
    if (!Await(until, refusal)) return nullptr;
  }
}

void ProcessPool::Wake() {
  if (queue_.WakeOne()) ++woken_;
}

// It may answer the next request.
void ProcessPool::Free(Process& process) {
  failures_ = 0;
  ++process.answered;
  if (settings_.requests != 0 && process.answered >= settings_.requests) return End(process);
  Enter(process, Process::State::kRests);
  Wake();
}

void ProcessPool::End(Process& process) {
  if (process.state == Process::State::kEnds) return;
  Enter(process, Process::State::kEnds);
  ++ending_;
  Close(process.kept);
  SignalGroup(process.spawned, SIGTERM);
  if (process.watcher != nullptr) coroutine::Cancel(*process.watcher);
  Wake();  // another one may be started
}

void ProcessPool::Return(std::unique_ptr<Link> link, LinkEnd end) noexcept {
  Process& process = *static_cast<Process*>(link->place);
  process.linked = false;
  if (process.gone) return Drop(process);
  switch (end) {
    case LinkEnd::kKept:
      process.kept = std::move(link->fd);
      return Free(process);
    case LinkEnd::kClosed:
      return Free(process);
    case LinkEnd::kFailed:
      process.broke_off = true;
      if (process.answered == 0) NoteFailure("breaks off before it has answered anything");
      return End(process);
    case LinkEnd::kAbandoned:
      SendAbort(link->fd.get());
      process.kept = std::move(link->fd);
      process.left_bytes = 0;
      process.receiver.Reset();
      process.receiver.Open(1);
      Enter(process, Process::State::kGivesUp);
      if (process.watcher != nullptr) coroutine::Cancel(*process.watcher);
  }
}

void ProcessPool::Drop(Process& process) {
  --ending_;
  processes_.remove_if([&](const Process& each) { return &each == &process; });
}

}  // namespace cogi::server
