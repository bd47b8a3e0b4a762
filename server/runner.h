// Runner: runs a handler for a request within its route's limits: the number of requests at once
// with a bounded queue (503), the deadline (504), and what its end means for the answer. One per
// route and worker. May yield.
#ifndef COGI_SERVER_RUNNER_H_
#define COGI_SERVER_RUNNER_H_

#include <cstdint>

#include "cgi/handler.h"
#include "config/settings.h"
#include "coroutine/wait.h"
#include "server/deadline_keeper.h"
#include "server/scoreboard.h"

namespace cogi::server {

class Runner {
 public:
  // `route` and the others must outlive the runner.
  Runner(const config::Route& route, DeadlineKeeper& keeper, WorkerCounters& counters);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void Run(cgi::Handler& handler, cgi::Request& request, cgi::Response& response);

  [[nodiscard]] const config::Route& route() const { return route_; }

 private:
  class Admitted;
  class Watched;

  bool TakePlace();
  void GivePlace();
  void RunAdmitted(cgi::Handler& handler, cgi::Request& request, cgi::Response& response);

  const config::Route& route_;
  DeadlineKeeper::Queue& deadlines_;
  WorkerCounters& counters_;
  uint32_t running_ = 0;
  uint32_t waiting_ = 0;
  coroutine::WaitList queue_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_RUNNER_H_
