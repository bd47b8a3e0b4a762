// ActiveRequest: one request while it is answered: its id, its counters, its line in the access
// log, the watch over its client. Connections borrow one from a pool. Lives on the heap: others of
// its thread look at it.
#ifndef COGI_SERVER_ACTIVE_REQUEST_H_
#define COGI_SERVER_ACTIVE_REQUEST_H_

#include <chrono>

#include "cgi/events.h"
#include "cgi/pool.h"
#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "server/cpu_clock.h"
#include "server/deadline_keeper.h"

namespace cogi::server {

class Connection;

class ActiveRequest {
 public:
  // Begin() is called in the coroutine that answers `request`, of `connection`, which must outlive
  // it. It throws std::bad_alloc, and then has done nothing. After it either End(), when the answer
  // was sent or cut, or Cut(), when that coroutine is unwound before.
  void Begin(Connection& connection, cgi::Request& request);
  void End(cgi::Request& request, const cgi::Response& response);
  void Cut();

  [[nodiscard]] const cgi::Request& request() const { return *request_; }
  [[nodiscard]] coroutine::Deadline started() const { return started_; }
  [[nodiscard]] const coroutine::Coroutine* coroutine() const { return coroutine_; }

 private:
  void Disarm(const cgi::Request& request);
  void LogRequest(std::chrono::nanoseconds on_cpu, cgi::Request& request,
                  const cgi::Response& response);

  Connection* connection_ = nullptr;
  const cgi::Request* request_ = nullptr;
  coroutine::Coroutine* coroutine_ = nullptr;
  coroutine::Deadline started_{};
  DeadlineKeeper::Entry* watch_ = nullptr;  // over its client
  DeadlineKeeper::Entry* total_ = nullptr;  // over its time in all
  CpuClock clock_;                          // runs if there is an access log
  bool timed_ = false;
};

// RequestEvents is what a front end that answers many requests at once tells of one of them.
class RequestEvents final : public cgi::Events {
 public:
  // `connection` must outlive it. Gives back a place, see Worker::TakeFastCgiPlace().
  explicit RequestEvents(Connection& connection) : connection_(connection) {}
  ~RequestEvents() override;
  RequestEvents(const RequestEvents&) = delete;
  RequestEvents& operator=(const RequestEvents&) = delete;

  // The request, while it is answered, or null.
  [[nodiscard]] const ActiveRequest* active() const { return active_.get(); }

  void Started(cgi::Request& request) override;
  void Finished(cgi::Request& request, const cgi::Response& response) override;
  void Refused(const cgi::Refusal& refusal, const cgi::Request* request) override;
  void Threw(cgi::Request& request, const char* what) override;

 private:
  Connection& connection_;
  cgi::Pool<ActiveRequest>::Pointer active_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ACTIVE_REQUEST_H_
