// Connection: one client of a worker, from accept() to close(), in a coroutine of its own. Picks
// the front end, and does what cgi/ leaves to the server: ids, counters, logs, the end by a drain.
// Lives on the heap: others of its thread look at it while its coroutine is parked.
#ifndef COGI_SERVER_CONNECTION_H_
#define COGI_SERVER_CONNECTION_H_

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>

#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/handler.h"
#include "cgi/pool.h"
#include "config/settings.h"
#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "server/active_request.h"
#include "server/coroutine_stream.h"
#include "server/entrance.h"
#include "server/fastcgi_multiplexer.h"
#include "server/real_calls.h"

namespace cogi::server {

class Worker;

class Connection final : public cgi::Events,
                         public FastCgiMultiplexer::Host,
                         public std::enable_shared_from_this<Connection> {
 public:
  // InfoOf() is what is known of `fd`, a connection of `listener` whose client accept() named
  // `peer`.
  [[nodiscard]] static cgi::ConnectionInfo InfoOf(const config::Listener& listener, int fd,
                                                  const sockaddr_storage& peer);

  // `fd` is a connected non-blocking socket of `entrance`, which must outlive the connection.
  // `begun` is true if another worker has served it before.
  Connection(Worker& worker, const Entrance& entrance, UniqueFd fd, cgi::ConnectionInfo info,
             bool begun);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // AdmitAddress() counts the connection among those of its address, if they are limited. False:
  // that address has enough. Called once, before Serve().
  [[nodiscard]] bool AdmitAddress();

  // Serve() answers requests until the connection ends. Called once, in the connection's own
  // coroutine. Yields.
  void Serve();

  // Retire() ends a connection that rests between two requests; one that answers a request ends
  // after it. Called by others.
  void Retire();
  // Leave() hands a connection to another worker as soon as it rests. One with TLS stays until its
  // next answer, which tells the client that it ends: its keys cannot go along. Called by others.
  void Leave();
  // EndRest() ends a connection of a client that rests after an answer. False: it is none. Called
  // by others.
  bool EndRest();
  // HandOver() sends a connection that rests, or has not begun, to the others, from a signal
  // handler: this process is about to be killed. The descriptor stays open here until then.
  void HandOver() const noexcept;

  // ForEachRequest() visits the requests that it answers now, for dumps.
  void ForEachRequest(const std::function<void(const ActiveRequest&)>& visit) const;

  // For its requests. Answered() tells that one of them has its answer.
  [[nodiscard]] Worker& worker() const { return worker_; }
  [[nodiscard]] const Entrance& entrance() const { return entrance_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& remote_address() const { return info_.remote_address; }
  void Answered();
  void Refused(const cgi::Refusal& refusal, const cgi::Request* request) override;
  void Threw(cgi::Request& request, const char* what) override;

  // The list of all connections of a worker.
  Connection* prev = nullptr;
  Connection* next = nullptr;

 private:
  // Of front ends that answer one request at a time.
  void Started(cgi::Request& request) override;
  void Finished(cgi::Request& request, const cgi::Response& response) override;
  bool Draining() override;

  // Of the one that answers many.
  std::unique_ptr<cgi::Events> StartRequest() override;
  coroutine::Coroutine* Spawn(std::function<void()> answer) override;
  void RefusedConnection(const cgi::Refusal& refusal) override { Refused(refusal, nullptr); }
  bool EndsAfterAnswer() override;
  bool PeerHasGone() override;

  [[nodiscard]] bool CanLeave() const { return entrance_.tls == nullptr; }
  void TellAtRest(CoroutineStream::AtRest at_rest);
  void ServePlain();
  bool PassOn();
  bool TakeProxyHeader();
  void RefuseConnection(const char* code, const std::string& why);
  void ServeProtocol(cgi::ByteStream& stream, cgi::Handler& handler);
  void ServeGateway(cgi::ByteStream& stream, cgi::Handler& handler);
  void LogException(const char* what);
  void ServeTls();

  Worker& worker_;
  const Entrance& entrance_;
  UniqueFd fd_;
  cgi::ConnectionInfo info_;
  CoroutineStream stream_;
  coroutine::Coroutine* coroutine_ = nullptr;
  uint64_t bytes_answered_ = 0;  // of what the client sent, up to the last answer
  uint64_t bytes_counted_ = 0;
  cgi::Pool<ActiveRequest>::Pointer active_;  // of a front end that answers one at a time
  std::unique_ptr<FastCgiMultiplexer> multiplexer_;
  bool leaves_ = false;   // told to Leave(), and somebody takes it
  bool counted_ = false;  // among those of its address
  bool begun_;            // what comes before the first request has been read
};

}  // namespace cogi::server

#endif  // COGI_SERVER_CONNECTION_H_
