#include "server/runner.h"

#include <exception>

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

void Runner::Run(cgi::Handler& handler, cgi::Request& request, cgi::Response& response) {
  if (!TakePlace()) {
    Count(counters_.overloaded);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, Concat("503: all ", route_.limits.concurrency,
                                        " places of the route ", route_.path, " are taken"));
    AnswerError(request, response, 503);
    return;
  }
  Count<uint32_t>(counters_.running);
  RunAdmitted(handler, request, response);
  Count<uint32_t>(counters_.running, static_cast<uint32_t>(-1));
  if (counters_.running.load(std::memory_order_relaxed) == 0)
    GiveBackMemory(coroutine::Clock::now());
  GivePlace();
}

void Runner::RunAdmitted(cgi::Handler& handler, cgi::Request& request, cgi::Response& response) {
  const auto now = coroutine::Clock::now();
  request.set_deadline(now + route_.timeouts.handler);
  DeadlineKeeper::Entry* entry = deadlines_.Arm(now);
  bool failed = false;
  try {
    handler.Serve(request, response);
  } catch (const std::exception& exception) {
    failed = true;
    LogError("request ", request.id(), " ", request.target(),
             ": the handler threw: ", exception.what());
  }
  const bool late = deadlines_.Disarm(entry);
  if (late) {
    // The cancel was for the handler; what is left to say needs the connection.
    coroutine::ClearCancel(*coroutine::Current());
    Count(counters_.deadlines);
    LogWarning("request ", request.id(), " ", request.target(), ": not answered within ",
               route_.timeouts.handler.count(), " ms");
    AnswerError(request, response, 504);
  } else if (failed) {
    Count(counters_.exceptions);
    AnswerError(request, response, 500);
  }
}

}  // namespace cogi::server
