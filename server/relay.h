// Relay: the way of kept connections from a worker that leaves to one that serves. A client, nginx
// above all, may be writing its next request on a connection that rests: whoever closes it may lose
// that request, however short the moment. So a worker that is retired closes none; it hands the
// descriptor over, and what lies unread in the socket goes along. Each listener has a relay, shared
// by its workers of all generations as the listener itself is: a queue in the kernel, so that
// connections wait there when nobody serves for a moment.
//
// One thread at a time. Never yields.
#ifndef COGI_SERVER_RELAY_H_
#define COGI_SERVER_RELAY_H_

#include "cgi/connection_info.h"
#include "server/real_calls.h"

namespace cogi::server {

class Relay {
 public:
  enum class Result : uint8_t {
    kDone,
    kFull,       // Send(): try again in a moment
    kEmpty,      // Receive(): nothing is there
    kExhausted,  // Receive(): this process has no descriptor free; the connection stays in the
                 // queue
    kDropped,    // Receive(): one came that cannot be used; it is closed
    kGone,       // Send(): nobody will ever receive
  };

  // Makes a new queue. Throws StartError.
  Relay();
  // Adopts the ends of one that exists.
  Relay(int in, int out) : in_(in), out_(out) {}

  // in() becomes readable when a connection waits; out() is where they are sent.
  [[nodiscard]] int in() const { return in_.get(); }
  [[nodiscard]] int out() const { return out_.get(); }
  // CloseIn() is called by who leaves: when the last receiver has, Send() says so.
  void CloseIn() noexcept { in_.Reset(); }
  void Close() noexcept {
    in_.Reset();
    out_.Reset();
  }

  // Send() hands `fd`, a connection that rests, and its addresses over. The caller then closes its
  // own descriptor without another word. Async-signal-safe.
  [[nodiscard]] Result Send(int fd, const cgi::ConnectionInfo& info) const noexcept;
  // Receive() takes a connection: its descriptor, close-on-exec, and its addresses.
  [[nodiscard]] Result Receive(UniqueFd& fd, cgi::ConnectionInfo& info) const;

 private:
  UniqueFd in_;
  UniqueFd out_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_RELAY_H_
