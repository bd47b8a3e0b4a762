#include "cgi/fastcgi_connection.h"

#include <cerrno>
#include <chrono>

#include "cgi/fastcgi_dispatcher.h"
#include "cgi/fcgi_encoder.h"
#include "cgi/input_buffer.h"
#include "cgi/linger.h"
#include "cgi/pool.h"

namespace cogi::cgi {
namespace {

// Bodies are read in larger pieces than parameters.
constexpr size_t kBodyBuffer = 16 * 1024;

// Busy is what a connection has while it does not rest.
class Busy final : private FastCgiDispatcher::Owner, private FastCgiExchange::Feeder {
 public:
  void Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info, Events& events,
              const fcgi::Values& values, size_t management);
  [[nodiscard]] size_t management() const { return dispatcher_.receiver().management(); }

  // ServeOne() reads a request and answers it. Returns whether the connection goes on; it may also
  // return true without a request, when only management records came.
  [[nodiscard]] bool ServeOne(Handler& handler);
  // resting() is true if nothing of a next request has arrived.
  [[nodiscard]] bool resting() const { return input_.empty() && dispatcher_.receiver().idle(); }

 private:
  enum class Step : uint8_t { kOn, kEnd, kTimeout, kBroken, kBad };

  Step Advance();
  bool SendReplies();
  bool ReadParams();
  void RefuseParams(Step step);

  FastCgiExchange* OnBegin(uint16_t id, fcgi::Role role, bool keep_connection,
                           fcgi::ProtocolStatus* why) override;
  void OnReady(FastCgiExchange&) override {}
  void OnInput(FastCgiExchange&) override {}
  void OnAbort(FastCgiExchange&) override {}
  bool AwaitInput(FastCgiExchange& exchange, Deadline deadline) override;

  ByteStream* stream_ = nullptr;
  const Limits* limits_ = nullptr;
  const ConnectionInfo* info_ = nullptr;
  Events* events_ = nullptr;
  InputBuffer input_;
  FastCgiDispatcher dispatcher_;
  FastCgiExchange exchange_;
};

void Busy::Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                  Events& events, const fcgi::Values& values, size_t management) {
  stream_ = &stream;
  limits_ = &limits;
  info_ = &info;
  events_ = &events;
  input_.Clear();
  exchange_.Release();
  dispatcher_.Reset(*this, limits, values, management);
}

// Uses what has arrived up to the next event, or reads more.
Busy::Step Busy::Advance() {
  if (input_.empty()) {
    input_.Rewind(0);
    input_.Reserve(1);
    const ssize_t got = input_.Fill(*stream_);
    if (got == 0) return Step::kEnd;
    if (got < 0) return errno == ETIMEDOUT ? Step::kTimeout : Step::kBroken;
  }
  input_.Consume(dispatcher_.Push(input_.bytes()));
  if (!SendReplies()) return Step::kBroken;
  return dispatcher_.receiver().error() == nullptr ? Step::kOn : Step::kBad;
}

bool Busy::SendReplies() {
  std::string& replies = dispatcher_.replies();
  if (replies.empty()) return true;
  iovec piece{replies.data(), replies.size()};
  const bool sent = stream_->Write(&piece, 1);
  replies.clear();
  return sent;
}

// Reads until the parameters of a request are complete or the connection may rest. False: it ends.
bool Busy::ReadParams() {
  stream_->SetReadDeadline(std::chrono::steady_clock::now() + limits_->header_time);
  for (;;) {
    const Step step = Advance();
    if (step != Step::kOn) return RefuseParams(step), false;
    if (!dispatcher_.open().empty() && exchange_.ready()) return true;
    if (resting()) return true;
  }
}

void Busy::RefuseParams(Step step) {
  const fcgi::FcgiReceiver& receiver = dispatcher_.receiver();
  Refusal refusal{0, receiver.code(), receiver.error()};
  if (step == Step::kTimeout) {
    refusal = {0, "fcgi_params_timeout", "the parameters did not come in time"};
  } else if (step != Step::kBad) {
    if (receiver.idle()) return;
    refusal = {0, "fcgi_truncated", "the peer ended in the middle of a request or record"};
  }
  events_->Refused(refusal, nullptr);
  if (dispatcher_.open().empty() || step == Step::kEnd) return;
  fcgi::AppendEndRequest(dispatcher_.replies(), exchange_.id(), 1,
                         fcgi::ProtocolStatus::kRequestComplete);
  static_cast<void>(SendReplies());
}

bool Busy::ServeOne(Handler& handler) {
  if (!ReadParams()) return false;
  if (dispatcher_.open().empty()) return true;
  const bool goes_on = exchange_.Answer(handler, *stream_, *info_, *events_);
  exchange_.Release();
  dispatcher_.End(exchange_);
  if (goes_on && exchange_.keeps_connection() && !events_->Draining()) return true;
  // A web server whose write of the body fails may not look at the answer.
  if (goes_on && !exchange_.stdin_done() && !exchange_.aborted()) {
    Linger(*stream_, input_, limits_->body, limits_->linger_time);
  }
  return false;
}

FastCgiExchange* Busy::OnBegin(uint16_t id, fcgi::Role role, bool keep_connection,
                               fcgi::ProtocolStatus* why) {
  if (!dispatcher_.open().empty()) {
    *why = fcgi::ProtocolStatus::kCannotMultiplex;
    return nullptr;
  }
  exchange_.Begin(*this, *limits_, id, role, keep_connection);
  return &exchange_;
}

bool Busy::AwaitInput(FastCgiExchange& exchange, Deadline deadline) {
  if (input_.empty()) input_.Reserve(kBodyBuffer);
  stream_->SetReadDeadline(deadline);
  const fcgi::FcgiReceiver& receiver = dispatcher_.receiver();
  switch (Advance()) {
    case Step::kOn:
      return true;
    case Step::kEnd:
      exchange.Break(FastCgiExchange::BodyFailure::kGone);
      return true;
    case Step::kBad:
      exchange.Break(FastCgiExchange::BodyFailure::kBad, receiver.code(), receiver.error());
      return true;
    case Step::kTimeout:
    case Step::kBroken:
      break;
  }
  return false;
}

}  // namespace

void FastCgiConnection::Serve(Handler& handler) {
  stream_.SetWriteTimeout(limits_.send_idle);
  while (open_ && Rest()) ServeBusy(handler);
}

// Not inlined, so that nothing of a request's work lies in the frames of a resting connection.
[[gnu::noinline]] bool FastCgiConnection::Rest() {
  if (events_.Draining()) return false;
  stream_.SetReadDeadline(std::chrono::steady_clock::now() + limits_.keep_alive);
  return stream_.AwaitInput();
}

[[gnu::noinline]] void FastCgiConnection::ServeBusy(Handler& handler) {
  auto busy = Pool<Busy>::Take();
  busy->Attach(stream_, limits_, info_, events_, values_, management_);
  do {
    open_ = busy->ServeOne(handler);
  } while (open_ && !busy->resting());
  management_ = busy->management();
}

}  // namespace cogi::cgi
