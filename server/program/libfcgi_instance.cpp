#include "server/program/libfcgi_instance.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "coroutine/scheduler.h"
#include "server/program/libfcgi_pool.h"

namespace cogi::server {

constexpr size_t kThreadedStack = 1 << 20;

void AcceptCall::Wake() {
  if (thread == 0) {
    waiting.WakeAll();
    return;
  }
  woken.store(1);  // sequentially consistent: notify_one() looks for waiters next
  woken.notify_one();
}

ssize_t ListeningEnd::Readv(const iovec*, int) {
  errno = ENOTCONN;
  return -1;
}

ssize_t ListeningEnd::Writev(const iovec*, int) {
  errno = ENOTCONN;
  return -1;
}

LibfcgiInstance::LibfcgiInstance(LibfcgiPool& pool, std::shared_ptr<Module> module)
    : pool_(&pool), module_(std::move(module)), gate_(pool.gate()) {
  acceptor_.instance = this;
  lines_.Begin([this](std::string_view line) { TakeLine(line); });
}

LibfcgiInstance::~LibfcgiInstance() {
  for (LibfcgiExchange* exchange : left_) exchange->Disown();
}

std::shared_ptr<LibfcgiInstance> LibfcgiInstance::Make(LibfcgiPool& pool,
                                                       std::shared_ptr<Module> module) {
  auto instance = std::make_unique<LibfcgiInstance>(pool, std::move(module));
  return {instance.release(), [gate = pool.gate()](LibfcgiInstance* ended) {
            std::shared_ptr<LibfcgiInstance> hold(ended);
            if (coroutine::Scheduler::Current() == nullptr)
              gate->Post([hold = std::move(hold)] {});  // nobody else has it then
          }};
}

void LibfcgiInstance::Start() {
  const ProgramOptions& options = pool_->options();
  // A thread may have addresses of its locals.
  const hooks::ProgramImage& image = module_->image();
  const bool own_stack = image.uses_threads || image.libraries_use_threads;
  coroutine_ = coroutine::Go(
      [self = std::static_pointer_cast<LibfcgiInstance>(shared_from_this())] { self->Run(); },
      {.stack_mode = own_stack ? coroutine::StackMode::kPrivate : options.stack_mode,
       .stack_size = options.stack_size == 0 && own_stack ? kThreadedStack : options.stack_size,
       .name = pool_->path().c_str()});
}

void LibfcgiInstance::Run() {
  environment_.BuildBare(pool_->options().environment, pool_->path());
  hooks::ProgramStart start;
  start.image = &module_->image();
  start.argc = 1;
  start.argv = environment_.arguments();
  start.environment = environment_.variables();
  start.standard[0] = &input_;
  start.standard[1] = start.standard[2] = &lines_;
  start.directory = pool_->directory().c_str();
  start.max_heap = pool_->options().max_heap;
  start.libfcgi = shared_from_this();
  program_ = std::make_unique<hooks::Program>();
  const hooks::ProgramResult result = program_->Run(start);
  lines_.Finish();
  coroutine_ = nullptr;
  // What a crashed program used is not freed.
  if (result.crashed) static_cast<void>(program_.release());
  program_ = nullptr;
  Ended(result);
}

void LibfcgiInstance::Ended(const hooks::ProgramResult& result) {
  const std::vector<LibfcgiExchange*> held = std::move(held_);
  held_.clear();
  for (LibfcgiExchange* exchange : held) {
    if (has_threads_) left_.push_back(exchange);
    exchange->InstanceEnded(result, has_threads_);
  }
  retired_ = true;
  LibfcgiPool* pool = std::exchange(pool_, nullptr);
  if (pool != nullptr) pool->Ended(*this, result);
}

void LibfcgiInstance::TakeLine(std::string_view line) {
  // What it says while it answers a single request belongs to that.
  if (held_.size() == 1 && !has_threads_) {
    held_.front()->WriteError(line);
    return held_.front()->WriteError("\n");
  }
  if (pool_ != nullptr) pool_->Log(line, ProgramLine::kStderr);
}

void LibfcgiInstance::Retire() {
  retired_ = true;
  end_.WakeAll();
  if (pool_ != nullptr) pool_->EndAcceptorsOf(*this);
}

void LibfcgiInstance::Cancel() {
  if (coroutine_ != nullptr) coroutine::Cancel(*coroutine_);
}

void LibfcgiInstance::Abandon(LibfcgiExchange& exchange) {
  if (has_threads_) {
    LeaveToThreads(exchange);
    return EndOnceIdle();
  }
  if (coroutine_ == nullptr) return;
  retired_ = true;
  coroutine::Cancel(*coroutine_);
}

void LibfcgiInstance::Finished(LibfcgiExchange& exchange) {
  std::erase(held_, &exchange);
  std::erase(left_, &exchange);
  EndOnceIdle();
}

void LibfcgiInstance::EndOnceIdle() {
  if (!retired_ || !held_.empty()) return;
  end_.WakeAll();
  if (wanted_end_ && program_ != nullptr) program_->EndSoon(wanted_end_->end, wanted_end_->status);
}

void LibfcgiInstance::Give(AcceptCall& acceptor, std::shared_ptr<LibfcgiExchange> exchange) {
  exchange->GiveTo(*this, acceptor.thread, gate_);
  held_.push_back(exchange.get());
  acceptor.got = std::move(exchange);
}

bool LibfcgiInstance::Offer(AcceptCall& acceptor) {
  if (pool_ == nullptr) return acceptor.over = true;
  if (acceptor.thread != 0 && !has_threads_ && program_ != nullptr) program_->SharesWithThreads();
  const bool first = !std::exchange(has_accepted_, true);
  return pool_->Offer(acceptor, first);
}

void LibfcgiInstance::Withdraw(AcceptCall& acceptor) {
  if (pool_ != nullptr) pool_->Withdraw(acceptor);
}

// Parks with the program current, so that its signals can end the wait.
hooks::LibfcgiRequest* LibfcgiInstance::Accept(bool* interrupted) {
  if (coroutine::Current() == nullptr) return AcceptOnThread();
  acceptor_.over = false;
  bool done = false;
  coroutine::Deadline rest = coroutine::kNoDeadline;
  {
    const hooks::ServerScope scope;
    done = Offer(acceptor_);
    if (!done) rest = coroutine::CoarseNow() + pool_->options().max_idle;
  }
  while (!done) {
    acceptor_.waiting.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    const auto reason =
        coroutine::Park(coroutine::WaitKind::kAdmission, reinterpret_cast<uintptr_t>(this), rest);
    done = acceptor_.got != nullptr || acceptor_.over;
    const hooks::ServerScope scope;
    if (!done && reason == coroutine::WakeReason::kCancelled) {
      Withdraw(acceptor_);
      *interrupted = true;
      return nullptr;
    }
    if (done || reason != coroutine::WakeReason::kTimeout) continue;
    if (pool_ != nullptr && pool_->HasOthers()) {
      Withdraw(acceptor_);
      done = retired_ = true;
    }
    rest = coroutine::kNoDeadline;  // the last one stays
  }
  const hooks::ServerScope scope;
  return std::exchange(acceptor_.got, nullptr).get();
}

hooks::LibfcgiRequest* LibfcgiInstance::AcceptOnThread() {
  const auto acceptor = std::make_shared<AcceptCall>();
  acceptor->instance = this;
  acceptor->thread = pthread_self();
  const auto self = std::static_pointer_cast<LibfcgiInstance>(shared_from_this());
  if (!gate_->Post([self, acceptor] {
        if (self->Offer(*acceptor)) acceptor->Wake();
      }))
    return nullptr;
  while (acceptor->woken.load(std::memory_order_acquire) == 0) acceptor->woken.wait(0);
  return acceptor->got.get();  // the program's hold keeps it
}

void LibfcgiInstance::StartsThread() {
  has_threads_ = true;
  if (pool_ != nullptr) pool_->HasThreads(*this);
}

void LibfcgiInstance::ThreadEnds(hooks::ProgramEnd end, int status) {
  const auto self = std::static_pointer_cast<LibfcgiInstance>(shared_from_this());
  gate_->Post([self, end, status, thread = pthread_self()] { self->EndFor(thread, end, status); });
}

// What the thread had is lost; what others have is theirs to finish.
void LibfcgiInstance::EndFor(pthread_t thread, hooks::ProgramEnd end, int status) {
  if (pool_ == nullptr) return;
  if (!wanted_end_) {
    wanted_end_.emplace();
    wanted_end_->end = end;
    wanted_end_->status = status;
  }
  LoseRequestsOf(thread, *wanted_end_);
  Retire();
  pool_->StartInstances();
  EndOnceIdle();
}

void LibfcgiInstance::LoseRequestsOf(pthread_t thread, const hooks::ProgramResult& result) {
  for (LibfcgiExchange* exchange : std::vector(held_)) {
    if (exchange->user() != thread) continue;
    LeaveToThreads(*exchange);
    exchange->InstanceEnded(result, true);
  }
}

void LibfcgiInstance::LeaveToThreads(LibfcgiExchange& exchange) {
  std::erase(held_, &exchange);
  left_.push_back(&exchange);
}

void LibfcgiInstance::MainEnds(int status, bool by_exit) {
  if (pool_ == nullptr) return;
  const hooks::ServerScope scope;
  hooks::ProgramResult result;
  result.status = status;
  if (by_exit) LoseRequestsOf(0, result);
  Retire();
  pool_->StartInstances();
  while (!held_.empty() && !coroutine::Cancelled(*coroutine::Current())) {
    end_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    coroutine::Park(coroutine::WaitKind::kJoin, reinterpret_cast<uintptr_t>(this));
  }
}

bool LibfcgiInstance::AwaitEnd() {
  while (!retired_ || !held_.empty()) {
    if (coroutine::Cancelled(*coroutine::Current())) return false;
    end_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    coroutine::Park(coroutine::WaitKind::kJoin, reinterpret_cast<uintptr_t>(this));
  }
  return true;
}

}  // namespace cogi::server
