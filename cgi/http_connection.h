// HttpConnection: the HTTP/1.1 front end (RFC 9110, 9112) of one connection, as blocking code.
// Strict: what two servers could read in two ways is refused with 400 and the connection closed.
#ifndef COGI_CGI_HTTP_CONNECTION_H_
#define COGI_CGI_HTTP_CONNECTION_H_

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/export.h"
#include "cgi/handler.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class COGI_API HttpConnection {
 public:
  // All arguments must outlive the connection.
  HttpConnection(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                 Events& events)
      : stream_(stream), limits_(limits), info_(info), events_(events) {}
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Serve() answers requests with `handler` until the connection ends: by the client, by
  // "Connection: close", by an error, a limit, a timeout or a drain. The caller then closes the
  // descriptor. Between requests it rests in stream.AwaitInput() with no buffer and a shallow
  // frame. May yield.
  void Serve(Handler& handler);

 private:
  bool Rest();
  void ServeBusy(Handler& handler);

  ByteStream& stream_;
  const Limits& limits_;
  const ConnectionInfo& info_;
  Events& events_;
  uint32_t requests_ = 0;
  bool open_ = true;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_CONNECTION_H_
