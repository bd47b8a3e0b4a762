// FastCgiExchange: one request that came by FastCGI, and its answer, with all the memory that it
// takes. It does not read: whoever reads the connection gives it what is its own (Take...()), and
// lends it a way to wait for more.
#ifndef COGI_CGI_FASTCGI_EXCHANGE_H_
#define COGI_CGI_FASTCGI_EXCHANGE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "cgi/body_clock.h"
#include "cgi/body_source.h"
#include "cgi/body_spool.h"
#include "cgi/byte_stream.h"
#include "cgi/connection_info.h"
#include "cgi/events.h"
#include "cgi/export.h"
#include "cgi/fastcgi_request.h"
#include "cgi/fcgi_record.h"
#include "cgi/handler.h"
#include "cgi/limits.h"
#include "cgi/response.h"

namespace cogi::cgi {

// The answer as STDOUT records and, exactly once, END_REQUEST.
class COGI_API FastCgiResponse final : public Response {
 public:
  void Start(ByteStream& stream, FastCgiRequest& request, uint16_t id);
  bool End() { return Response::End(); }
  // EndAborted() ends the request without the rest of its answer. As End(). May yield.
  bool EndAborted();
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

class COGI_API FastCgiExchange : private BodySource {
 public:
  // Feeder is the reader of the connection.
  class Feeder {
   public:
    virtual ~Feeder() = default;
    // AwaitInput() waits until something may have been given to `exchange`. False with errno:
    // ETIMEDOUT after `deadline`, ECANCELED, or why the connection can no longer be read, if
    // Break() was not called. May yield.
    [[nodiscard]] virtual bool AwaitInput(FastCgiExchange& exchange, Deadline deadline) = 0;
    // Drained() tells that all of queued() has been read, or that all will be kept (keeps_all()).
    virtual void Drained(FastCgiExchange& exchange) { static_cast<void>(exchange); }
    // HandlerDone() is called between the handler and the end of its answer.
    virtual void HandlerDone(FastCgiExchange& exchange) { static_cast<void>(exchange); }
  };

  // Why the body cannot be had.
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

  // Begin() makes it ready for a request. The references must outlive its use.
  void Begin(Feeder& feeder, const Limits& limits, uint16_t id, fcgi::Role role,
             bool keep_connection);

  // What came for it. Take...() of STDIN and DATA copy the bytes.
  void TakeParam(std::string_view name, std::string_view value) {
    request_.variables().SetFromPeer(name, value);
  }
  void TakeParamsEnd();
  void TakeStdin(std::string_view bytes);
  void TakeStdinEnd() { stdin_done_ = true; }
  void TakeData(std::string_view bytes);
  void TakeDataEnd() { data_done_ = true; }
  void TakeAbort();
  // Break() tells that nothing more will come or be taken: kGone, or kBad with a Refusal's code and
  // reason.
  void Break(BodyFailure why, const char* code = nullptr, const char* reason = nullptr);

  // Answer() runs the handler and sends the answer to `stream`, once ready(). Returns whether the
  // connection can go on: if not, nothing more may be said of this request. May yield.
  [[nodiscard]] bool Answer(Handler& handler, ByteStream& stream, const ConnectionInfo& info,
                            Events& events);

  [[nodiscard]] uint16_t id() const { return id_; }
  [[nodiscard]] bool keeps_connection() const { return keep_; }
  // ready() is true once the parameters are complete, or nothing more of them will come.
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] bool aborted() const { return aborted_; }
  [[nodiscard]] bool stdin_done() const { return stdin_done_; }
  // queued() is how many bytes of STDIN or DATA have come and wait to be read; keeps_all() is true
  // while they shall be kept, however many.
  [[nodiscard]] uint64_t queued() const { return stdin_.left() + data_.left(); }
  [[nodiscard]] bool keeps_all() const { return keeps_all_; }
  [[nodiscard]] const Request& request() const { return request_; }

  // Release() gives back what the request took.
  void Release();

 private:
  [[nodiscard]] HttpError Check() const;
  void ReplaceByBodyError(Events& events);
  bool Finish(Events& events);
  bool Await();
  // Has come what could not be kept?
  [[nodiscard]] bool lost() const {
    return broken_ == BodyFailure::kNoRoom || broken_ == BodyFailure::kTooLarge;
  }
  void Queue(BodySpool& spool, std::string_view bytes);
  ssize_t FailBody(BodyFailure failure, int error);
  ssize_t ReadBody(void* buffer, size_t size, std::optional<uint64_t> length) override;
  bool SpoolBody(std::optional<uint64_t> length) override;
  ssize_t ReadData(void* buffer, size_t size) override;

  Feeder* feeder_ = nullptr;
  const Limits* limits_ = nullptr;
  BodyClock clock_;
  BodySpool stdin_;
  BodySpool data_;
  FastCgiRequest request_;
  FastCgiResponse response_;

  HttpError error_;  // of the parameters
  uint16_t id_ = 0;
  fcgi::Role role_ = fcgi::Role::kResponder;
  bool keep_ = false;
  bool ready_ = false;
  bool stdin_done_ = false;
  bool data_done_ = false;
  bool aborted_ = false;
  bool keeps_all_ = false;
  bool queuing_ = false;   // what has come is just being kept, which may wait for the disk
  uint64_t received_ = 0;  // of STDIN, as much as belongs to the body
  uint64_t taken_ = 0;     // by the handler
  BodyFailure failure_ = BodyFailure::kNone;  // that the handler has met
  int body_error_ = 0;
  BodyFailure broken_ = BodyFailure::kNone;  // that it meets when it has read what came before
  const char* broken_code_ = nullptr;
  const char* broken_reason_ = nullptr;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_FASTCGI_EXCHANGE_H_
