#include "server/program/libfcgi_pool.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <system_error>
#include <utility>

#include "coroutine/scheduler.h"
#include "server/program/program_answer.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kLookAgain{1};
// After the time that the programs had for their ends, they are cancelled and get so long to
// notice.
constexpr std::chrono::milliseconds kLastMoment{500};

}  // namespace

LibfcgiPool::LibfcgiPool(std::string path, ProgramOptions options, std::shared_ptr<Module> module)
    : path_(std::move(path)),
      options_(std::move(options)),
      directory_(options_.working_directory.empty() ? DirectoryOf(path_)
                                                    : options_.working_directory),
      gate_(std::make_shared<ThreadGate>(coroutine::Scheduler::Current())),
      module_(std::move(module)) {}

LibfcgiPool::~LibfcgiPool() {
  gate_->Close();
  for (const auto& instance : instances_) instance->pool_ = nullptr;
}

void LibfcgiPool::Serve(cgi::Request& request, cgi::Response& response) {
  LookForNewVersion();
  const std::shared_ptr<LibfcgiExchange> exchange =
      LibfcgiExchange::Take(path_, options_, request, response);
  struct Guard {
    LibfcgiPool& pool;
    const std::shared_ptr<LibfcgiExchange>& exchange;
    bool served = false;
    ~Guard() {
      if (served) return;
      std::erase(pool.pending_, exchange);
      exchange->Abandon();
    }
  };
  {
    Guard guard{*this, exchange};
    Dispatch(exchange);
    guard.served = exchange->Serve();
    if (guard.served) return;
  }
  hooks::ProgramResult cancelled;
  cancelled.end = hooks::ProgramEnd::kCancelled;
  exchange->Fail(cancelled);
}

void LibfcgiPool::Dispatch(const std::shared_ptr<LibfcgiExchange>& exchange) {
  if (!idle_.empty()) {
    AcceptCall* acceptor = idle_.back();
    idle_.pop_back();
    acceptor->instance->Give(*acceptor, exchange);
    return acceptor->Wake();
  }
  pending_.push_back(exchange);
  StartInstances();
}

bool LibfcgiPool::Offer(AcceptCall& acceptor, bool first) {
  LibfcgiInstance& instance = *acceptor.instance;
  if (first) --starting_;
  // Whether a program that can start threads does is known when it accepts once more.
  const bool proves =
      !proven_ && IsCurrent(instance) && (!first || !instance.module()->image().uses_threads);
  if (proves) proven_ = true;
  if (ending_ && pending_.empty()) instance.Retire();
  if (instance.retired() || !IsCurrent(instance)) return acceptor.over = true;
  if (pending_.empty()) {
    idle_.push_back(&acceptor);
  } else {
    instance.Give(acceptor, std::move(pending_.front()));
    pending_.pop_front();
  }
  if (first || proves) StartInstances();
  // Starting may yield: it may have been told to end meanwhile.
  return acceptor.got != nullptr || acceptor.over;
}

void LibfcgiPool::Withdraw(AcceptCall& acceptor) { std::erase(idle_, &acceptor); }

void LibfcgiPool::EndAcceptorsOf(const LibfcgiInstance& instance) {
  std::erase_if(idle_, [&](AcceptCall* acceptor) {
    if (acceptor->instance != &instance) return false;
    acceptor->over = true;
    acceptor->Wake();
    return true;
  });
}

bool LibfcgiPool::IsCurrent(const LibfcgiInstance& instance) const {
  return instance.module() == module_;
}

bool LibfcgiPool::HasOthers() const {
  return std::count_if(instances_.begin(), instances_.end(), [&](const auto& instance) {
           return IsCurrent(*instance) && !instance->retired();
         }) > 1;
}

bool LibfcgiPool::MayStart() const {
  size_t current = 0;
  for (const auto& instance : instances_) {
    if (!IsCurrent(*instance) || instance->retired()) continue;
    if (instance->has_threads()) return false;
    ++current;
  }
  if (loading_ || (current > 0 && !proven_)) return false;
  return options_.max_running == 0 || current < options_.max_running;
}

void LibfcgiPool::StartInstances() {
  while (pending_.size() > starting_ && MayStart())
    if (!StartOne()) return;
}

// Loading reads a file, and may yield: nobody else loads or starts anything meanwhile, and the pool
// does not end.
bool LibfcgiPool::LoadAgain(std::string* error) {
  if (loading_) return false;
  struct Loading {
    LibfcgiPool& pool;
    explicit Loading(LibfcgiPool& of) : pool(of) { pool.loading_ = true; }
    ~Loading() {
      pool.loading_ = false;
      pool.ended_.WakeAll();
    }
  };
  std::shared_ptr<Module> fresh;
  {
    const Loading loading(*this);
    fresh = Module::Load(path_, error);
  }
  if (fresh == nullptr) return false;
  module_ = std::move(fresh);
  module_spent_ = proven_ = false;
  return true;
}

// A failure is the request's that waits longest.
bool LibfcgiPool::StartOne() {
  std::string error;
  try {
    if (!module_spent_ || LoadAgain(&error)) {
      const auto instance = LibfcgiInstance::Make(*this, module_);
      instance->Start();
      instances_.push_back(instance);
      ++starting_;
      return true;
    }
  } catch (const std::exception& failure) {
    error = Concat(path_, ": no further instance: ", failure.what());
  }
  Log(error, ProgramLine::kFailure);
  hooks::ProgramResult result;
  result.end = hooks::ProgramEnd::kAborted;
  FailFirst(result);
  return false;
}

void LibfcgiPool::FailFirst(const hooks::ProgramResult& result) {
  if (pending_.empty()) return;
  const std::shared_ptr<LibfcgiExchange> exchange = std::move(pending_.front());
  pending_.pop_front();
  exchange->InstanceEnded(result, false);
}

void LibfcgiPool::HasThreads(LibfcgiInstance& instance) {
  if (!IsCurrent(instance)) return;
  // It has to stay where it is for as long as the process lives.
  static_cast<void>(new std::shared_ptr<Module>(instance.module()));
  module_spent_ = true;
  if (HasOthers())
    Log(Concat(path_,
               ": starts a thread while other instances share its memory; let it start its "
               "threads before it accepts"),
        ProgramLine::kFailure);
}

void LibfcgiPool::Ended(LibfcgiInstance& instance, const hooks::ProgramResult& result) {
  EndAcceptorsOf(instance);
  const auto found = std::find_if(instances_.begin(), instances_.end(),
                                  [&](const auto& each) { return each.get() == &instance; });
  const std::shared_ptr<LibfcgiInstance> hold = *found;
  instances_.erase(found);
  if (result.crashed && options_.on_crash) options_.on_crash();
  if (!instance.has_accepted()) {
    --starting_;
    FailFirst(result);
  }
  StartInstances();
  if (instances_.empty()) ended_.WakeAll();
}

void LibfcgiPool::Log(std::string_view line, ProgramLine kind) const {
  if (options_.log_program) return options_.log_program(path_, line, kind);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

void LibfcgiPool::LookForNewVersion() {
  const coroutine::Deadline now = coroutine::CoarseNow();
  if (now < look_again_) return;
  look_again_ = now + kLookAgain;
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0 || FileVersion(info) == module_->version()) return;
  std::string error;
  // A file that is being written does not load yet: the old version serves until it does.
  if (!LoadAgain(&error)) return;
  for (const auto& instance : std::vector(instances_)) instance->Retire();
}

void LibfcgiPool::End(cgi::Deadline deadline) {
  ending_ = true;
  if (pending_.empty())
    for (const auto& instance : std::vector(instances_)) instance->Retire();
  bool cancelled = false;
  while (!instances_.empty() || loading_) {
    ended_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    const auto reason =
        coroutine::Park(coroutine::WaitKind::kJoin, reinterpret_cast<uintptr_t>(this), deadline);
    if (reason == coroutine::WakeReason::kReady || reason == coroutine::WakeReason::kResumed)
      continue;
    if (std::exchange(cancelled, true)) break;
    for (const auto& instance : std::vector(instances_)) instance->Cancel();
    deadline = coroutine::After(kLastMoment);
  }
  gate_->Close();
}

}  // namespace cogi::server
