// FastCgiMultiplexer: the FastCGI front end in a worker: any number of requests on one connection,
// each answered in a coroutine of its own, while the connection's coroutine goes on reading. So
// ABORT_REQUEST, a second request, and the web server's leaving are seen at once, whatever handlers
// do. cgi/fastcgi_exchange.h is one request.
//
// Between two requests the connection rests in ByteStream::AwaitInput() with no buffer and a
// shallow frame; what a busy one has is borrowed from a pool.
//
// FastCGI has no flow control of its own. While one request is open, its body is read no faster
// than its handler takes it; while there are several, a body that is not taken goes to its spool
// file, up to its limit, so that it does not hold up the others.
#ifndef COGI_SERVER_FASTCGI_MULTIPLEXER_H_
#define COGI_SERVER_FASTCGI_MULTIPLEXER_H_

#include <functional>
#include <memory>
#include <string>

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/fcgi_record.h"
#include "cgi/handler.h"
#include "cgi/limits.h"
#include "cgi/pool.h"
#include "coroutine/coroutine.h"
#include "coroutine/scheduler.h"
#include "coroutine/sync.h"
#include "coroutine/wait.h"

namespace cogi::server {

class FastCgiMultiplexer {
 public:
  // Host is the connection in the server.
  class Host {
   public:
    virtual ~Host() = default;
    // StartRequest() is called in the reader, before a request may begin. Null: there is no place
    // for one more in this worker (503). The events live until the request's coroutine has ended.
    virtual std::unique_ptr<cgi::Events> StartRequest() = 0;
    // Spawn() runs `answer` in a coroutine that keeps the connection alive. Throws as
    // coroutine::Go().
    virtual coroutine::Coroutine* Spawn(std::function<void()> answer) = 0;
    // EndsAfterAnswer() is asked after an answer, when no request is open.
    virtual bool EndsAfterAnswer() = 0;
    // RefusedConnection() as cgi::Events::Refused(), for what belongs to no request.
    virtual void RefusedConnection(const cgi::Refusal& refusal) = 0;
    // PeerHasGone() tells whether the peer, which has ended its side, has closed the other one too.
    virtual bool PeerHasGone() = 0;
  };

  // The references must outlive it. It lives on the heap: the coroutines of its requests use it.
  // `values` is what GET_VALUES is answered, and the number of requests at once that it names holds
  // for this connection.
  FastCgiMultiplexer(cgi::ByteStream& stream, const cgi::Limits& limits,
                     const cgi::ConnectionInfo& info, const cgi::fcgi::Values& values, Host& host);
  ~FastCgiMultiplexer();

  // Serve() answers requests with `handler` until the connection ends and the last of them has
  // ended. Called once, in the connection's coroutine. Yields.
  void Serve(cgi::Handler& handler);

  // at_rest() is true between two requests, while nothing of a next one has been read.
  [[nodiscard]] bool at_rest() const { return resting_ && busy_ == nullptr; }

  // ForEachRequest() visits the events that StartRequest() gave of what is answered now.
  void ForEachRequest(const std::function<void(const cgi::Events&)>& visit) const;

 private:
  struct Task;
  class SharedStream;
  struct Busy;

  bool Rest();
  [[nodiscard]] cgi::Deadline ReadDeadline() const;
  bool Timeout();
  bool ReadOnce();
  void Take();
  void RemoveOver();
  bool Dispatch();
  bool SendReplies();
  void RefuseTasks();
  void AwaitRoom();
  bool PeerEnded();
  bool BadRecord();
  void RefuseUnready(bool answer);
  void AwaitTasks();
  void Poke();
  void Answer(Task& task);
  void Ended(Task& task, bool goes_on);
  void Remove(Task& task);
  void Tidy();
  [[nodiscard]] size_t open() const;

  cgi::ByteStream& stream_;
  const cgi::Limits& limits_;
  const cgi::ConnectionInfo& info_;
  Host& host_;
  cgi::Handler* handler_ = nullptr;
  coroutine::Coroutine* reader_ = nullptr;
  cgi::fcgi::Values values_;
  bool resting_ = false;     // the reader waits where Poke() reaches it
  bool closing_ = false;     // no further request begins
  bool leaving_ = false;     // told to end or leave at the next rest
  bool lingers_ = false;     // the peer may still be sending what nobody reads
  uint32_t management_ = 0;  // management records since the last request
  cgi::Deadline rested_{};   // since when no request was open
  cgi::Pool<Busy>::Pointer busy_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_FASTCGI_MULTIPLEXER_H_
