// ScgiConnection: the SCGI front end of one connection, as blocking code. A connection carries one
// request; its answer is that of a CGI program, and ends with the connection.
#ifndef COGI_CGI_SCGI_CONNECTION_H_
#define COGI_CGI_SCGI_CONNECTION_H_

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/export.h"
#include "cgi/handler.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class COGI_API ScgiConnection {
 public:
  // All arguments must outlive the connection. Of `info` only variables is used: the rest is told
  // by the web server's parameters.
  ScgiConnection(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                 Events& events)
      : stream_(stream), limits_(limits), info_(info), events_(events) {}
  ScgiConnection(const ScgiConnection&) = delete;
  ScgiConnection& operator=(const ScgiConnection&) = delete;

  // Serve() answers the request with `handler`. The caller then closes the descriptor. Until the
  // request begins it rests in stream.AwaitInput() with no buffer. May yield.
  void Serve(Handler& handler);

 private:
  ByteStream& stream_;
  const Limits& limits_;
  const ConnectionInfo& info_;
  Events& events_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_SCGI_CONNECTION_H_
