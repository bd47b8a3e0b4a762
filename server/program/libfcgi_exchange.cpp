#include "server/program/libfcgi_exchange.h"

#include <sys/uio.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "coroutine/coroutine.h"
#include "server/program/libfcgi_instance.h"
#include "server/program/program_answer.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kIdleExchanges = 256;

using Pool = std::vector<std::unique_ptr<LibfcgiExchange>>;

Pool& IdleExchanges() {
  thread_local Pool pool;
  return pool;
}

// A thread of a program may be the last to let one go; it has no pool.
void GiveBack(LibfcgiExchange* exchange) {
  std::unique_ptr<LibfcgiExchange> owned(exchange);
  if (coroutine::Scheduler::Current() == nullptr) return;
  if (IdleExchanges().size() < kIdleExchanges) IdleExchanges().push_back(std::move(owned));
}

int RoleOf(cgi::Request& request) {
  const std::optional<std::string_view> role = request.Variable("FCGI_ROLE");
  if (role == "AUTHORIZER") return hooks::LibfcgiRequest::kAuthorizer;
  if (role == "FILTER") return hooks::LibfcgiRequest::kFilter;
  if (!role.has_value()) request.SetVariable("FCGI_ROLE", "RESPONDER");
  return hooks::LibfcgiRequest::kResponder;
}

}  // namespace

bool ThreadGate::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (scheduler_ == nullptr) return false;
  scheduler_->Post(std::move(work));
  return true;
}

void ThreadGate::Close() {
  const std::lock_guard lock(mutex_);
  scheduler_ = nullptr;
}

std::shared_ptr<LibfcgiExchange> LibfcgiExchange::Take(const std::string& path,
                                                       const ProgramOptions& options,
                                                       cgi::Request& request,
                                                       cgi::Response& response) {
  std::unique_ptr<LibfcgiExchange> taken;
  if (IdleExchanges().empty()) {
    taken = std::make_unique<LibfcgiExchange>();
  } else {
    taken = std::move(IdleExchanges().back());
    IdleExchanges().pop_back();
  }
  std::shared_ptr<LibfcgiExchange> exchange(taken.release(), GiveBack);
  exchange->path_ = &path;
  exchange->options_ = &options;
  exchange->request_ = &request;
  exchange->response_ = &response;
  exchange->role = RoleOf(request);
  exchange->block_.Build(request, options.environment, path);
  exchange->environment = exchange->block_.variables();
  exchange->input_.Begin(request);
  exchange->output_.Begin(response, options.max_output);
  exchange->errors_.Begin([&options, &request](std::string_view line) {
    LogProgram(options, request, line, ProgramLine::kStderr);
  });
  exchange->step_ = Step::kOpen;
  exchange->abandoned_ = false;
  exchange->asked_ = {};
  return exchange;
}

bool LibfcgiExchange::Serve() {
  while (step_ == Step::kOpen) {
    if (asked_.what != What::kNothing) {
      Perform();
      continue;
    }
    connection_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    if (coroutine::Park(coroutine::WaitKind::kChannel, reinterpret_cast<uintptr_t>(this)) ==
            coroutine::WakeReason::kCancelled &&
        step_ == Step::kOpen)
      return false;
  }
  Complete();
  return true;
}

void LibfcgiExchange::Perform() {
  const std::string_view bytes(static_cast<const char*>(asked_.buffer), asked_.size);
  ssize_t result = 0;
  errno = 0;
  switch (asked_.what) {
    case What::kRead:
      if (in_data) {
        result = request_->ReadData(asked_.buffer, asked_.size);
      } else {
        const iovec piece{asked_.buffer, asked_.size};
        result = input_.Readv(&piece, 1);
      }
      break;
    case What::kWrite:
      result = output_.Take(bytes, !asked_.flush) ? 0 : -1;
      break;
    case What::kError:
      errors_.Take(bytes);
      break;
    case What::kNothing:
      break;
  }
  Answer(result, errno);
}

void LibfcgiExchange::Complete() {
  if (step_ == Step::kEnded) return Fail(program_result_);
  if (step_ == Step::kFinished) output_.Take(Pending(out), true);
  errors_.Take(Pending(err));
  errors_.Finish();
  if (step_ == Step::kBroken)
    return FailProgram(*path_, *options_, *request_, *response_, 500,
                       "gave the request up without finishing it");
  hooks::ProgramResult result;
  result.status = exit_status;
  AnswerProgram(*path_, *options_, output_, result, *request_, *response_);
}

void LibfcgiExchange::Fail(const hooks::ProgramResult& result) {
  errors_.Finish();
  if (result.end == hooks::ProgramEnd::kExited)
    return FailProgram(*path_, *options_, *request_, *response_, 500,
                       Concat("ended, with status ", result.status, ", without answering"));
  AnswerProgram(*path_, *options_, output_, result, *request_, *response_);
}

void LibfcgiExchange::Abandon() {
  abandoned_ = true;
  if (asked_.what != What::kNothing) Answer(-1, ECANCELED);
  if (instance_ != nullptr && step_ == Step::kOpen) instance_->Abandon(*this);
}

void LibfcgiExchange::GiveTo(LibfcgiInstance& instance, pthread_t thread,
                             std::shared_ptr<ThreadGate> gate) {
  instance_ = &instance;
  user_ = thread;
  gate_ = std::move(gate);
  programs_hold_ = shared_from_this();
}

void LibfcgiExchange::InstanceEnded(const hooks::ProgramResult& result, bool threads_go_on) {
  program_result_ = result;
  abandoned_ = true;
  if (threads_go_on) {
    // Its thread may go on with the streams; all that it asks for fails.
    if (asked_.what != What::kNothing) Answer(-1, ECANCELED);
    step_ = Step::kEnded;
    connection_.WakeAll();
  } else {
    instance_ = nullptr;
    Release(Step::kEnded);
  }
}

void LibfcgiExchange::Disown() {
  const std::shared_ptr<LibfcgiExchange> hold = std::move(programs_hold_);
  instance_ = nullptr;
  gate_ = nullptr;
}

// The last thing that the program's side does: the object may be another request's after it.
void LibfcgiExchange::Release(Step step) {
  const std::shared_ptr<LibfcgiExchange> hold = std::move(programs_hold_);
  if (instance_ != nullptr) instance_->Finished(*this);
  instance_ = nullptr;
  gate_ = nullptr;
  if (step_ != Step::kOpen) return;
  step_ = step;
  connection_.WakeAll();
}

void LibfcgiExchange::Answer(ssize_t result, int error) {
  result_ = result;
  error_ = error;
  asked_.what = What::kNothing;
  program_.WakeAll();
  if (asked_.thread == 0) return;
  answered_.store(1);  // sequentially consistent: notify_one() looks for waiters next
  answered_.notify_one();
}

void LibfcgiExchange::Post(const Asked& asked) {
  asked_ = asked;
  user_ = asked.thread;
  if (abandoned_) return Answer(-1, ECANCELED);
  connection_.WakeAll();
}

ssize_t LibfcgiExchange::Ask(const Asked& asked) {
  if (coroutine::Current() == nullptr) return AskFromThread(asked);
  Post(asked);
  const coroutine::ShieldScope shield;  // the buffer is in use until there is an answer
  while (asked_.what != What::kNothing) {
    program_.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    coroutine::Park(coroutine::WaitKind::kChannel, reinterpret_cast<uintptr_t>(this));
  }
  errno = error_;
  return result_;
}

ssize_t LibfcgiExchange::AskFromThread(Asked asked) {
  asked.thread = pthread_self();
  answered_.store(0, std::memory_order_relaxed);
  const auto gate = gate_;
  if (!gate->Post([this, asked, hold = programs_hold_] { Post(asked); })) {
    errno = ECANCELED;
    return -1;
  }
  while (answered_.load(std::memory_order_acquire) == 0) answered_.wait(0);
  errno = error_;
  return result_;
}

ssize_t LibfcgiExchange::Read(void* buffer, size_t size) {
  return Ask({.what = What::kRead, .buffer = buffer, .size = size});
}

bool LibfcgiExchange::Write(std::string_view bytes, bool flush) {
  return Ask({.what = What::kWrite,
              .buffer = const_cast<char*>(bytes.data()),
              .size = bytes.size(),
              .flush = flush}) == 0;
}

void LibfcgiExchange::WriteError(std::string_view bytes) {
  Ask({.what = What::kError, .buffer = const_cast<char*>(bytes.data()), .size = bytes.size()});
}

void LibfcgiExchange::Finish(bool broken) {
  const Step step = broken ? Step::kBroken : Step::kFinished;
  if (coroutine::Current() != nullptr) return Release(step);
  const auto gate = gate_;
  gate->Post([this, step, hold = programs_hold_] { Release(step); });
}

}  // namespace cogi::server
