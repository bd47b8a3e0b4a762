// Events: what a connection tells the server while it works. cgi/ never logs and never counts; the
// server does both from here. All calls come in the connection's own coroutine (or thread).
#ifndef COGI_CGI_EVENTS_H_
#define COGI_CGI_EVENTS_H_

#include "cgi/export.h"
#include "cgi/request.h"
#include "cgi/response.h"

namespace cogi::cgi {

// A request or a connection that was refused, cut or given up, and why.
struct Refusal {
  int status;          // the HTTP status that was answered; 0: closed without an answer
  const char* code;    // a counter's name: "bad_header", "header_timeout", "fcgi_bad_record", ...
  const char* reason;  // one sentence for the log; static text, never bytes of the peer
};

class COGI_API Events {
 public:
  virtual ~Events() = default;

  // Started() is called when the head of a request is complete and lawful, before its handler:
  // the place to give it an id and a deadline. May yield.
  virtual void Started(Request& request) { static_cast<void>(request); }

  // Finished() is called when the answer of a request that was Started() has been sent or cut
  // (response.aborted()): the access log's place. May yield.
  virtual void Finished(Request& request, const Response& response) {
    static_cast<void>(request);
    static_cast<void>(response);
  }

  // Refused() is called for everything that goes wrong by the peer's doing, and for answers that do
  // not keep their Content-Length. `request` is null if there was no lawful head.
  virtual void Refused(const Refusal& refusal, const Request* request) {
    static_cast<void>(refusal);
    static_cast<void>(request);
  }

  // Threw() is called when an exception left the handler (`what` is for the log only).
  virtual void Threw(Request& request, const char* what) {
    static_cast<void>(request);
    static_cast<void>(what);
  }

  // Draining() is asked before the head of each answer is sent and before a connection rests. True:
  // "Connection: close" (HTTP), or close after END_REQUEST (FastCGI). Resting connections are woken
  // by making AwaitInput() fail.
  [[nodiscard]] virtual bool Draining() { return false; }
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_EVENTS_H_
