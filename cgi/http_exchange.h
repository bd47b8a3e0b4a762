// HttpExchange: one request and its answer on an HTTP/1.1 connection, with all the memory that they
// take. Busy connections borrow one from a pool; several requests of a connection follow each other
// in the same one.
#ifndef COGI_CGI_HTTP_EXCHANGE_H_
#define COGI_CGI_HTTP_EXCHANGE_H_

#include <string>
#include <string_view>

#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/handler.h"
#include "cgi/http_body.h"
#include "cgi/http_head.h"
#include "cgi/http_request.h"
#include "cgi/input_buffer.h"
#include "cgi/limits.h"
#include "cgi/response.h"

namespace cogi::cgi {

// The answer on the wire: status line, fields, framing (RFC 9112 4, 6).
class HttpResponse final : public Response {
 public:
  // Start() begins the answer to a request. `minor_version` is the client's.
  void Start(ByteStream& stream, HttpBody& body, const Request& request, const ConnectionInfo& info,
             bool is_head, uint8_t minor_version, bool keep_alive);
  // End() as Response's. May yield.
  bool End() { return Response::End(); }
  using Response::body_short;

  // CloseAfter() makes this the connection's last answer. After the head was sent it only closes.
  void CloseAfter() { keep_alive_ = false; }
  // keep_alive() is whether the connection goes on after this answer, as far as it is known.
  [[nodiscard]] bool keep_alive() const { return keep_alive_ && !aborted(); }

 private:
  bool Emit(const Output& output) override;
  bool PrepareHead() override;
  void MakeHead(const Output& output);
  bool SendPieces(const Output& output);

  ByteStream* stream_ = nullptr;
  HttpBody* body_ = nullptr;
  const Request* request_ = nullptr;
  const ConnectionInfo* info_ = nullptr;
  bool is_head_ = false;
  bool keep_alive_ = true;
  bool chunked_ = false;
  uint8_t minor_version_ = 1;
  std::string head_;
};

class HttpExchange {
 public:
  HttpExchange() : request_(body_) {}

  // Attach() makes it ready for the requests of a connection. The arguments must outlive its use.
  void Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info, Events& events);

  // ServeOne() reads a request and answers it with `handler`; `last` closes the connection after
  // it. Returns whether the connection goes on. May yield.
  [[nodiscard]] bool ServeOne(Handler& handler, bool last);

  // has_input() is true if bytes of a next request have arrived already.
  [[nodiscard]] bool has_input() const { return !input_.empty(); }

 private:
  bool ReadHead();
  bool Refuse(const HttpError& error, bool is_head, const Request* request);
  void Run(Handler& handler);
  bool Finish();
  void ReplaceByBodyError();
  void LingerOn();

  ByteStream* stream_ = nullptr;
  const Limits* limits_ = nullptr;
  const ConnectionInfo* info_ = nullptr;
  Events* events_ = nullptr;
  InputBuffer input_;
  HttpHeadParser parser_;
  HttpHead head_;
  HttpBody body_;
  HttpRequest request_;
  HttpResponse response_;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_HTTP_EXCHANGE_H_
