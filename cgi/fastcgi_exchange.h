// FastCgiExchange: one request at a time on a FastCGI connection, with all the memory that it
// takes. Busy connections borrow one from a pool.
#ifndef COGI_CGI_FASTCGI_EXCHANGE_H_
#define COGI_CGI_FASTCGI_EXCHANGE_H_

#include <string>
#include <string_view>

#include "cgi/body_clock.h"
#include "cgi/body_source.h"
#include "cgi/body_spool.h"
#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/fastcgi_request.h"
#include "cgi/fcgi_receiver.h"
#include "cgi/handler.h"
#include "cgi/input_buffer.h"
#include "cgi/limits.h"
#include "cgi/response.h"

namespace cogi::cgi {

// The answer as STDOUT records and, exactly once, END_REQUEST.
class FastCgiResponse final : public Response {
 public:
  void Start(ByteStream& stream, FastCgiRequest& request, uint16_t id);
  bool End() { return Response::End(); }
  using Response::body_short;

 private:
  bool Emit(const Output& output) override;
  bool PrepareHead() override { return request_->SpoolBody(); }
  bool EmitFile(const Output& output);

  ByteStream* stream_ = nullptr;
  FastCgiRequest* request_ = nullptr;
  uint16_t id_ = 0;
  std::string head_;
  std::string end_;
};

class FastCgiExchange final : private fcgi::RequestSink, private BodySource {
 public:
  // Attach() makes it ready for the requests of a connection. The arguments must outlive its use.
  // `management` is what management() gave when the connection rested last, 0 at first.
  void Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info, Events& events,
              const fcgi::Values& values, size_t management);
  [[nodiscard]] size_t management() const { return receiver_.management(); }

  // ServeOne() reads a request and answers it. Returns whether the connection goes on; it may also
  // return true without a request, when only management records came. May yield.
  [[nodiscard]] bool ServeOne(Handler& handler);

  // resting() is true if nothing of a next request has arrived.
  [[nodiscard]] bool resting() const { return input_.empty() && receiver_.idle(); }

 private:
  enum class Step : uint8_t { kOn, kEnd, kTimeout, kBroken, kBad };
  // What hinders the body.
  enum class BodyFailure : uint8_t {
    kNone,
    kTooLarge,
    kTimeout,
    kShort,
    kAborted,
    kBad,
    kGone,
    kNoRoom
  };

  bool ReadParams();
  bool Answer(Handler& handler);
  void ReplaceByBodyError();
  Step Advance(bool body);
  bool SendReplies();
  ssize_t FailBody(BodyFailure failure, int error);
  bool AwaitPiece();

  ssize_t ReadBody(void* buffer, size_t size, std::optional<uint64_t> length,
                   uint64_t limit) override;
  bool SpoolBody(std::optional<uint64_t> length, uint64_t limit) override;
  ssize_t ReadData(void* buffer, size_t size) override;
  ssize_t ReadStdin(void* buffer, size_t size, std::optional<uint64_t> length, uint64_t limit);

  fcgi::ProtocolStatus OnBegin(uint16_t id, fcgi::Role role, bool keep_connection) override;
  void OnParam(uint16_t id, std::string_view name, std::string_view value) override;
  void OnParamsEnd(uint16_t id) override;
  void OnStdin(uint16_t id, std::string_view bytes) override;
  void OnStdinEnd(uint16_t id) override;
  void OnData(uint16_t id, std::string_view bytes) override;
  void OnDataEnd(uint16_t id) override;
  void OnAbort(uint16_t id) override;
  void OnReply(std::string_view records) override;

  ByteStream* stream_ = nullptr;
  const Limits* limits_ = nullptr;
  const ConnectionInfo* info_ = nullptr;
  Events* events_ = nullptr;
  InputBuffer input_;
  fcgi::FcgiReceiver receiver_;
  BodyClock clock_;
  BodySpool spool_;
  FastCgiRequest request_;
  FastCgiResponse response_;
  std::string replies_;

  // The request that is open.
  bool active_ = false;
  uint16_t id_ = 0;
  fcgi::Role role_ = fcgi::Role::kResponder;
  bool keep_ = false;
  bool params_done_ = false;
  bool stdin_done_ = false;
  bool data_done_ = false;
  bool aborted_ = false;
  std::string_view piece_;  // of STDIN, or after its end of DATA; lies in input_
  uint64_t body_taken_ = 0;
  BodyFailure failure_ = BodyFailure::kNone;
  int body_error_ = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_FASTCGI_EXCHANGE_H_
