// FastCgiConnection: the FastCGI front end (FastCGI Specification 1.0) of one connection, as
// blocking code: one request at a time. A second BEGIN_REQUEST meanwhile is answered with
// CANT_MPX_CONN; management records are answered whenever they are read. Where there is somebody to
// read while handlers run, FastCgiDispatcher serves any number at once.
#ifndef COGI_CGI_FASTCGI_CONNECTION_H_
#define COGI_CGI_FASTCGI_CONNECTION_H_

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/export.h"
#include "cgi/fcgi_record.h"
#include "cgi/handler.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class COGI_API FastCgiConnection {
 public:
  // All arguments must outlive the connection. Of `info` only variables and server_software are
  // used: the rest is told by the web server's parameters.
  FastCgiConnection(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                    Events& events)
      : stream_(stream), limits_(limits), info_(info), events_(events) {}
  FastCgiConnection(const FastCgiConnection&) = delete;
  FastCgiConnection& operator=(const FastCgiConnection&) = delete;

  // set_values() sets what GET_VALUES is answered, before Serve(). Without it: a thousand
  // connections with one request at a time.
  void set_values(const fcgi::Values& values) { values_ = values; }

  // Serve() answers requests with `handler` until the connection ends: by the peer, by a request
  // without FCGI_KEEP_CONN, by a bad record, a limit, a timeout or a drain. The caller then closes
  // the descriptor. Between requests it rests in stream.AwaitInput() with no buffer and a shallow
  // frame. May yield.
  void Serve(Handler& handler);

 private:
  bool Rest();
  void ServeBusy(Handler& handler);

  ByteStream& stream_;
  const Limits& limits_;
  const ConnectionInfo& info_;
  Events& events_;
  fcgi::Values values_{.max_connections = 1000, .max_requests = 1000};
  size_t management_ = 0;  // management records since the last request
  bool open_ = true;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_FASTCGI_CONNECTION_H_
