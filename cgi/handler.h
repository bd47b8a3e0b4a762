// Handler: what answers requests. Ordinary blocking code; any front end (FastCGI, HTTP) calls it
// the same way.
//
//   struct Hello : cogi::cgi::Handler {
//     void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
//       response.SetHeader("Content-Type", "text/plain");
//       response.Write("hello\n");
//     }
//   };
#ifndef COGI_CGI_HANDLER_H_
#define COGI_CGI_HANDLER_H_

#include "cgi/export.h"
#include "cgi/request.h"
#include "cgi/response.h"

namespace cogi::cgi {

class COGI_API Handler {
 public:
  virtual ~Handler() = default;

  // Serve() answers one request. It is called for many requests at once (each in its own
  // coroutine), so what it keeps in the handler object is shared. The front end finishes the
  // response after it returns. An exception that leaves it becomes a 500 if nothing has been sent
  // yet; else the connection is cut. May yield.
  virtual void Serve(Request& request, Response& response) = 0;

  // End() is called once before the handler is destroyed, after its last Serve() has returned: for
  // what goes on between requests, which has until `deadline`. May yield.
  virtual void End(Deadline deadline) { static_cast<void>(deadline); }
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HANDLER_H_
