#include "cgi/fastcgi_exchange.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "cgi/error_answer.h"
#include "cgi/fcgi_encoder.h"
#include "cgi/field_list.h"
#include "cgi/linger.h"
#include "cgi/run_handler.h"

namespace cogi::cgi {
namespace {

// Bodies are read in larger pieces than parameters.
constexpr size_t kBodyBuffer = 16 * 1024;

}  // namespace

void FastCgiExchange::Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                             Events& events, const fcgi::Values& values, size_t management) {
  stream_ = &stream;
  limits_ = &limits;
  info_ = &info;
  events_ = &events;
  input_.Clear();
  spool_.Clear();
  receiver_.Reset(limits, values, management);
  replies_.clear();
  active_ = false;
}

// Uses what has arrived up to the next event, or reads more. `body`: under the body's clock.
FastCgiExchange::Step FastCgiExchange::Advance(bool body) {
  if (input_.empty()) {
    input_.Rewind(0);
    input_.Reserve(1);
    ssize_t got =
        body ? clock_.Read(*stream_, [&] { return input_.Fill(*stream_); }) : input_.Fill(*stream_);
    if (got == 0) return Step::kEnd;
    if (got < 0) return errno == ETIMEDOUT ? Step::kTimeout : Step::kBroken;
  }
  input_.Consume(receiver_.Push(input_.bytes(), *this));
  if (!SendReplies()) return Step::kBroken;
  return receiver_.error() == nullptr ? Step::kOn : Step::kBad;
}

bool FastCgiExchange::SendReplies() {
  if (replies_.empty()) return true;
  iovec piece{replies_.data(), replies_.size()};
  bool sent = stream_->Write(&piece, 1);
  replies_.clear();
  return sent;
}

// Reads until the parameters of a request are complete (params_done_) or the connection may rest.
// False: it ends.
bool FastCgiExchange::ReadParams() {
  params_done_ = false;
  bool timed = false;
  for (;;) {
    Step step = Advance(false);
    if (!timed) {
      stream_->SetReadDeadline(std::chrono::steady_clock::now() + limits_->header_time);
      timed = true;
    }
    if (step == Step::kOn) {
      if (params_done_ || resting()) return true;
      continue;
    }
    Refusal refusal{0, receiver_.code(), receiver_.error()};
    if (step == Step::kTimeout) {
      refusal = {0, "fcgi_params_timeout", "the parameters did not come in time"};
    } else if (step != Step::kBad) {
      if (receiver_.idle()) return false;
      refusal = {0, "fcgi_truncated", "the peer ended in the middle of a request or record"};
    }
    events_->Refused(refusal, nullptr);
    if (active_ && step != Step::kEnd) {
      fcgi::AppendEndRequest(replies_, id_, 1, fcgi::ProtocolStatus::kRequestComplete);
      static_cast<void>(SendReplies());
    }
    return false;
  }
}

bool FastCgiExchange::ServeOne(Handler& handler) {
  if (!ReadParams()) return false;
  if (!params_done_) return true;
  bool goes_on = Answer(handler);
  receiver_.Forget(id_);
  active_ = false;
  if (goes_on && keep_ && !events_->Draining()) return true;
  // A web server whose write of the body fails may not look at the answer.
  if (goes_on && !stdin_done_ && !aborted_) {
    Linger(*stream_, input_, limits_->body, limits_->linger_time);
  }
  return false;
}

bool FastCgiExchange::Answer(Handler& handler) {
  for (size_t i = 0; info_->variables != nullptr && i < info_->variables->size(); ++i) {
    request_.SetVariable((*info_->variables)[i].name, (*info_->variables)[i].value);
  }
  HttpError error = request_.Complete();
  response_.Start(*stream_, request_, id_);
  if (error.status == 0 && request_.content_length().value_or(0) > limits_->body) {
    error = {413, "body_too_large", "the announced body is larger than allowed"};
  }
  if (error.status != 0) {
    events_->Refused({error.status, error.code, error.reason}, nullptr);
    FillErrorAnswer(response_, error.status, error.reason);
    return response_.End();
  }
  clock_.Start(*limits_);
  spool_.Start(limits_->body_memory, limits_->spool_folder);
  request_.set_body_limit(limits_->body);
  events_->Started(request_);
  if (aborted_) {
    response_.SetStatus(499, "Client Closed Request");
  } else {
    RunHandler(handler, request_, response_, *events_);
  }
  ReplaceByBodyError();
  bool sent = response_.End();
  ReportLength(response_, response_.body_short(), request_, *events_);
  events_->Finished(request_, response_);
  spool_.Clear();
  return sent && failure_ != BodyFailure::kBad && failure_ != BodyFailure::kTimeout;
}

// Whatever the handler made of a body that could not be read, the peer is told why.
void FastCgiExchange::ReplaceByBodyError() {
  Refusal refusal{0, nullptr, nullptr};
  switch (failure_) {
    case BodyFailure::kNone:
    case BodyFailure::kAborted:
      return;
    case BodyFailure::kTooLarge:
      refusal = {413, "body_too_large", "the body is larger than allowed"};
      break;
    case BodyFailure::kTimeout:
      refusal = {408, "body_timeout", "the body came too slowly"};
      break;
    case BodyFailure::kShort:
      refusal = {400, "truncated_body", "the body is shorter than its CONTENT_LENGTH"};
      break;
    case BodyFailure::kBad:
      refusal = {400, receiver_.code(), receiver_.error()};
      break;
    case BodyFailure::kNoRoom:
      refusal = {507, "body_no_room", "the body cannot be kept"};
      break;
    case BodyFailure::kGone:
      refusal = {0, "truncated_body", "the peer ended in the middle of the body"};
      response_.Abort();
      break;
  }
  if (response_.head_sent()) {
    response_.Abort();
  } else if (refusal.status != 0) {
    FillErrorAnswer(response_, refusal.status, refusal.reason);
  }
  events_->Refused(refusal, &request_);
}

ssize_t FastCgiExchange::FailBody(BodyFailure failure, int error) {
  failure_ = failure;
  body_error_ = error;
  errno = error;
  return -1;
}

// Waits for the next piece of STDIN or DATA, or for an end of one of them. False: failed.
bool FastCgiExchange::AwaitPiece() {
  bool had_stdin = stdin_done_, had_data = data_done_;
  while (piece_.empty() && stdin_done_ == had_stdin && data_done_ == had_data && !aborted_) {
    if (input_.empty()) input_.Reserve(kBodyBuffer);
    switch (Advance(true)) {
      case Step::kOn:
        break;
      case Step::kTimeout:
        FailBody(BodyFailure::kTimeout, ETIMEDOUT);
        return false;
      case Step::kBad:
        FailBody(BodyFailure::kBad, EPROTO);
        return false;
      case Step::kEnd:
        FailBody(BodyFailure::kGone, EPROTO);
        return false;
      case Step::kBroken:
        // ECANCELED: the server gave the request up; the answer is still to be said.
        FailBody(errno == ECANCELED ? BodyFailure::kAborted : BodyFailure::kGone, errno);
        return false;
    }
  }
  if (aborted_) FailBody(BodyFailure::kAborted, ECANCELED);
  return !aborted_;
}

ssize_t FastCgiExchange::ReadBody(void* buffer, size_t size, std::optional<uint64_t> length,
                                  uint64_t limit) {
  if (!spool_.empty()) return spool_.Read(buffer, size);
  return ReadStdin(buffer, size, length, limit);
}

bool FastCgiExchange::SpoolBody(std::optional<uint64_t> length, uint64_t limit) {
  if (stdin_done_ || (length && body_taken_ == *length)) return true;
  constexpr size_t kPiece = 64 * 1024;
  auto buffer = std::make_unique_for_overwrite<char[]>(kPiece);
  for (;;) {
    ssize_t got = ReadStdin(buffer.get(), kPiece, length, limit);
    if (got <= 0) return got == 0;
    if (!spool_.Append({buffer.get(), static_cast<size_t>(got)})) {
      FailBody(BodyFailure::kNoRoom, errno);
      return false;
    }
  }
}

ssize_t FastCgiExchange::ReadStdin(void* buffer, size_t size, std::optional<uint64_t> length,
                                   uint64_t limit) {
  if (failure_ != BodyFailure::kNone) {
    errno = body_error_;
    return -1;
  }
  if (length.value_or(0) > limit) return FailBody(BodyFailure::kTooLarge, EMSGSIZE);
  // What exceeds CONTENT_LENGTH is not the body (RFC 3875 4.2).
  if (length) size = static_cast<size_t>(std::min<uint64_t>(size, *length - body_taken_));
  if (size == 0) return 0;
  if (piece_.empty() && !stdin_done_ && !AwaitPiece()) return -1;
  if (stdin_done_) {
    return length && body_taken_ < *length ? FailBody(BodyFailure::kShort, EPROTO) : 0;
  }
  size = std::min(size, piece_.size());
  if (size > limit - body_taken_) return FailBody(BodyFailure::kTooLarge, EMSGSIZE);
  std::memcpy(buffer, piece_.data(), size);
  piece_.remove_prefix(size);
  body_taken_ += size;
  return static_cast<ssize_t>(size);
}

ssize_t FastCgiExchange::ReadData(void* buffer, size_t size) {
  if (failure_ != BodyFailure::kNone) {
    errno = body_error_;
    return -1;
  }
  if (role_ != fcgi::Role::kFilter || size == 0) return 0;
  while (!stdin_done_) {
    piece_ = {};
    if (!AwaitPiece()) return -1;
  }
  if (piece_.empty() && !data_done_ && !AwaitPiece()) return -1;
  size = std::min(size, piece_.size());
  if (size > 0) std::memcpy(buffer, piece_.data(), size);
  piece_.remove_prefix(size);
  return static_cast<ssize_t>(size);
}

fcgi::ProtocolStatus FastCgiExchange::OnBegin(uint16_t id, fcgi::Role role, bool keep_connection) {
  if (active_) return fcgi::ProtocolStatus::kCannotMultiplex;
  active_ = true;
  id_ = id;
  role_ = role;
  keep_ = keep_connection;
  params_done_ = data_done_ = aborted_ = false;
  stdin_done_ = role == fcgi::Role::kAuthorizer;
  piece_ = {};
  body_taken_ = 0;
  failure_ = BodyFailure::kNone;
  request_.StartOver(*this);
  static constexpr std::string_view kRoles[] = {"RESPONDER", "AUTHORIZER", "FILTER"};
  request_.SetVariable("FCGI_ROLE", kRoles[static_cast<size_t>(role) - 1]);
  return fcgi::ProtocolStatus::kRequestComplete;
}

void FastCgiExchange::OnParam(uint16_t, std::string_view name, std::string_view value) {
  request_.variables().SetFromPeer(name, value);
}

void FastCgiExchange::OnParamsEnd(uint16_t) { params_done_ = true; }

void FastCgiExchange::OnStdin(uint16_t, std::string_view bytes) { piece_ = bytes; }

void FastCgiExchange::OnStdinEnd(uint16_t) { stdin_done_ = true; }

void FastCgiExchange::OnData(uint16_t, std::string_view bytes) { piece_ = bytes; }

void FastCgiExchange::OnDataEnd(uint16_t) { data_done_ = true; }

void FastCgiExchange::OnAbort(uint16_t) {
  aborted_ = true;
  // Nothing more of the parameters will come: the request ends with an answer that nobody reads.
  params_done_ = true;
}

void FastCgiExchange::OnReply(std::string_view records) { replies_ += records; }

}  // namespace cogi::cgi
