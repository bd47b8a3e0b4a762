#include "cgi/fastcgi_exchange.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "cgi/error_answer.h"
#include "cgi/field_list.h"
#include "cgi/run_handler.h"

namespace cogi::cgi {

void FastCgiExchange::Begin(Feeder& feeder, const Limits& limits, uint16_t id, fcgi::Role role,
                            bool keep_connection) {
  feeder_ = &feeder;
  limits_ = &limits;
  id_ = id;
  role_ = role;
  keep_ = keep_connection;
  ready_ = aborted_ = keeps_all_ = queuing_ = false;
  stdin_done_ = role == fcgi::Role::kAuthorizer;
  data_done_ = role != fcgi::Role::kFilter;
  received_ = taken_ = 0;
  failure_ = broken_ = BodyFailure::kNone;
  request_.set_terms(limits);
  clock_.Start(request_.terms());
  stdin_.Start(limits.body_memory, limits.spool_folder);
  data_.Start(limits.body_memory, limits.spool_folder);
  request_.StartOver(*this);
  static constexpr std::string_view kRoles[] = {"RESPONDER", "AUTHORIZER", "FILTER"};
  request_.SetVariable("FCGI_ROLE", kRoles[static_cast<size_t>(role) - 1]);
}

void FastCgiExchange::TakeParamsEnd() {
  ready_ = true;
  error_ = request_.Complete();
}

void FastCgiExchange::Queue(BodySpool& spool, std::string_view bytes) {
  if (lost()) return;
  queuing_ = true;
  const bool kept = spool.Append(bytes);
  queuing_ = false;
  if (!kept) Break(BodyFailure::kNoRoom);
}

// What exceeds CONTENT_LENGTH is not the body (RFC 3875 4.2), and what exceeds the limit by a byte
// is enough to know it.
void FastCgiExchange::TakeStdin(std::string_view bytes) {
  const uint64_t limit = limits_->body == UINT64_MAX ? UINT64_MAX : limits_->body + 1;
  const uint64_t most = std::min(request_.content_length().value_or(UINT64_MAX), limit);
  bytes = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(bytes.size(), most - received_)));
  received_ += bytes.size();
  if (!bytes.empty()) Queue(stdin_, bytes);
}

// Of a file that is larger than a body may be no more than that waits to be read at a time.
void FastCgiExchange::TakeData(std::string_view bytes) {
  if (data_.left() + bytes.size() > limits_->body) return Break(BodyFailure::kTooLarge);
  Queue(data_, bytes);
}

void FastCgiExchange::TakeAbort() {
  aborted_ = true;
  // Nothing more of the parameters will come: the request ends with an answer that nobody reads.
  if (!ready_) TakeParamsEnd();
}

void FastCgiExchange::Break(BodyFailure why, const char* code, const char* reason) {
  if (broken_ != BodyFailure::kNone) return;
  broken_ = why;
  broken_code_ = code;
  broken_reason_ = reason;
}

HttpError FastCgiExchange::Check() const {
  if (error_.status == 0 && request_.content_length().value_or(0) > limits_->body)
    return {413, "body_too_large", "the announced body is larger than allowed"};
  return error_;
}

bool FastCgiExchange::Answer(Handler& handler, ByteStream& stream, const ConnectionInfo& info,
                             Events& events) {
  for (size_t i = 0; info.variables != nullptr && i < info.variables->size(); ++i) {
    request_.SetVariable((*info.variables)[i].name, (*info.variables)[i].value);
  }
  const HttpError error = Check();
  response_.Start(stream, request_, id_);
  if (error.status != 0) {
    if (aborted_)
      return response_.EndAborted();  // before it was complete: nobody asks for the reason
    events.Refused({error.status, error.code, error.reason}, nullptr);
    FillErrorAnswer(response_, error.status, error.reason);
    return response_.End();
  }
  events.Started(request_);
  if (!aborted_) RunHandler(handler, request_, response_, events);
  feeder_->HandlerDone(*this);
  return Finish(events);
}

bool FastCgiExchange::Finish(Events& events) {
  ReplaceByBodyError(events);
  bool sent;
  if (aborted_) {
    if (response_.Reset()) response_.SetStatus(499, "Client Closed Request");
    sent = response_.EndAborted();
  } else {
    sent = response_.End();
    ReportLength(response_, response_.body_short(), request_, events);
  }
  events.Finished(request_, response_);
  return sent && failure_ != BodyFailure::kBad && failure_ != BodyFailure::kTimeout;
}

void FastCgiExchange::ReplaceByBodyError(Events& events) {
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
      refusal = {400, broken_code_, broken_reason_};
      break;
    case BodyFailure::kNoRoom:
      refusal = {507, "body_no_room", "the body cannot be kept"};
      break;
    case BodyFailure::kGone:
      refusal = {0, "truncated_body", "the peer ended in the middle of the body"};
      break;
  }
  ReplaceByRefusal(refusal, request_, response_, events);
}

ssize_t FastCgiExchange::FailBody(BodyFailure failure, int error) {
  failure_ = failure;
  body_error_ = error;
  errno = error;
  return -1;
}

// Waits until something may have come. False: the body has failed.
bool FastCgiExchange::Await() {
  if (aborted_) return FailBody(BodyFailure::kAborted, ECANCELED) == 0;
  if (broken_ != BodyFailure::kNone)
    return FailBody(broken_, broken_ == BodyFailure::kTooLarge ? EMSGSIZE : EPROTO) == 0;
  const Deadline begin = std::chrono::steady_clock::now();
  const uint64_t before = received_ + data_.left();
  const bool came = feeder_->AwaitInput(*this, clock_.Until(begin));
  const int error = errno;
  clock_.Waited(begin, received_ + data_.left() - before);
  if (aborted_) return FailBody(BodyFailure::kAborted, ECANCELED) == 0;
  if (came || broken_ != BodyFailure::kNone) return true;
  // ECANCELED: the server gave the request up; the answer is still to be said.
  return FailBody(error == ETIMEDOUT   ? BodyFailure::kTimeout
                  : error == ECANCELED ? BodyFailure::kAborted
                                       : BodyFailure::kGone,
                  error) == 0;
}

bool FastCgiExchange::SpoolBody(std::optional<uint64_t> length) {
  if (failure_ != BodyFailure::kNone) {
    errno = body_error_;
    return false;
  }
  const uint64_t limit = request_.terms().body;
  keeps_all_ = true;
  feeder_->Drained(*this);
  while (lost() || (!stdin_done_ && (!length || received_ < *length) && received_ <= limit)) {
    if (!Await()) return false;
  }
  return received_ <= limit || FailBody(BodyFailure::kTooLarge, EMSGSIZE) == 0;
}

ssize_t FastCgiExchange::ReadBody(void* buffer, size_t size, std::optional<uint64_t> length) {
  if (failure_ != BodyFailure::kNone) {
    errno = body_error_;
    return -1;
  }
  const uint64_t limit = request_.terms().body;
  if (length.value_or(0) > limit) return FailBody(BodyFailure::kTooLarge, EMSGSIZE);
  if (length) size = static_cast<size_t>(std::min<uint64_t>(size, *length - taken_));
  if (size == 0) return 0;
  while (stdin_.empty() && (lost() || !stdin_done_)) {
    if (!Await()) return -1;
  }
  if (stdin_.empty()) return length ? FailBody(BodyFailure::kShort, EPROTO) : 0;
  size = static_cast<size_t>(std::min<uint64_t>(size, stdin_.left()));
  if (size > limit - taken_) return FailBody(BodyFailure::kTooLarge, EMSGSIZE);
  const ssize_t got = stdin_.Read(buffer, size);
  if (got < 0) return FailBody(BodyFailure::kNoRoom, errno);
  taken_ += static_cast<uint64_t>(got);
  if (stdin_.empty()) feeder_->Drained(*this);
  return got;
}

ssize_t FastCgiExchange::ReadData(void* buffer, size_t size) {
  if (failure_ != BodyFailure::kNone) {
    errno = body_error_;
    return -1;
  }
  if (role_ != fcgi::Role::kFilter || size == 0) return 0;
  while (data_.empty() && (lost() || !data_done_)) {
    if (!stdin_.empty() && !queuing_) {  // what nobody read of the body is dropped
      stdin_.Clear();
      feeder_->Drained(*this);
    }
    if (!Await()) return -1;
  }
  const ssize_t got = data_.Read(buffer, size);
  if (got < 0) return FailBody(BodyFailure::kNoRoom, errno);
  if (data_.empty()) feeder_->Drained(*this);
  return got;
}

void FastCgiExchange::Release() {
  stdin_.Clear();
  data_.Clear();
}

}  // namespace cogi::cgi
