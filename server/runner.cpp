#include "server/runner.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "coroutine/coroutine.h"
#include "server/error_page.h"
#include "server/idle_memory.h"
#include "server/log.h"

namespace cogi::server {

Runner::Runner(const config::Route& route, DeadlineKeeper& keeper, WorkerCounters& counters)
    : route_(route), deadlines_(keeper.AddQueue(route.timeouts.handler)), counters_(counters) {}

// Waits for one of the route's places. A place that becomes free is handed to the first in the
// queue, so that a newcomer cannot overtake it.
bool Runner::TakePlace() {
  const uint32_t limit = route_.limits.concurrency;
  if (limit == 0 || running_ < limit) {
    ++running_;
    return true;
  }
  if (waiting_ >= route_.limits.queue) return false;
  coroutine::Coroutine* self = coroutine::Current();
  coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
  node.coroutine = self;
  queue_.Add(node);
  ++waiting_;
  Count<uint32_t>(counters_.waiting);
  const auto reason = coroutine::Park(coroutine::WaitKind::kAdmission, limit,
                                      coroutine::After(route_.timeouts.queue));
  --waiting_;
  Count<uint32_t>(counters_.waiting, static_cast<uint32_t>(-1));
  return reason == coroutine::WakeReason::kReady;
}

void Runner::GivePlace() {
  if (!queue_.WakeOne()) --running_;
}

// Ends a request's place and its count, also when what is left to do for it throws.
class Runner::Admitted {
 public:
  explicit Admitted(Runner& runner) : runner_(runner) { Count(running()); }
  ~Admitted() {
    Count(running(), static_cast<uint32_t>(-1));
    if (running().load(std::memory_order_relaxed) == 0) GiveBackMemory(coroutine::Clock::now());
    runner_.GivePlace();
  }
  Admitted(const Admitted&) = delete;
  Admitted& operator=(const Admitted&) = delete;

 private:
  [[nodiscard]] std::atomic<uint32_t>& running() const { return runner_.counters_.running; }
  Runner& runner_;
};

void Runner::Run(cgi::Handler& handler, cgi::Request& request, cgi::Response& response) {
  if (!TakePlace()) {
    if (coroutine::Cancelled(*coroutine::Current())) return;  // who cancelled says so
    Count(counters_.overloaded);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "503: all ", route_.limits.concurrency, " places of the route ",
                route_.path, " are taken");
    AnswerError(request, response, 503);
    return;
  }
  const Admitted admitted(*this);
  RunAdmitted(handler, request, response);
}

// The watch over a handler's time; ends with it, however the handler is left.
class Runner::Watched {
 public:
  Watched(DeadlineKeeper::Queue& deadlines, coroutine::Deadline now)
      : deadlines_(deadlines), entry_(deadlines.Arm(now)) {}
  ~Watched() {
    if (entry_ != nullptr) deadlines_.Disarm(entry_);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  // End() returns whether the time was over.
  bool End() { return deadlines_.Disarm(std::exchange(entry_, nullptr)); }

 private:
  DeadlineKeeper::Queue& deadlines_;
  DeadlineKeeper::Entry* entry_;
};

void Runner::RunAdmitted(cgi::Handler& handler, cgi::Request& request, cgi::Response& response) {
  const auto now = coroutine::Clock::now();
  request.set_deadline(std::min(request.deadline(), now + route_.timeouts.handler));
  Watched watched(deadlines_, now);
  int failure = 0;  // the status of an exception that the handler let out
  try {
    handler.Serve(request, response);
  } catch (const std::bad_alloc&) {
    failure = 503;
    static LogLimiter limiter;
    limiter.Log(Level::kError, "503: no memory for request ", request.id(), " ", request.target());
  } catch (const std::exception& exception) {
    failure = 500;
    LogError("request ", request.id(), " ", request.target(),
             ": the handler threw: ", exception.what());
  }
  if (watched.End()) {
    // The cancel was for the handler; what is left to say needs the connection.
    coroutine::ClearCancel(*coroutine::Current());
    Count(counters_.deadlines);
    LogWarning("request ", request.id(), " ", request.target(), ": not answered within ",
               route_.timeouts.handler.count(), " ms");
    AnswerError(request, response, 504);
  } else if (failure != 0) {
    Count(failure == 503 ? counters_.overloaded : counters_.exceptions);
    AnswerError(request, response, failure);
  }
}

}  // namespace cogi::server
