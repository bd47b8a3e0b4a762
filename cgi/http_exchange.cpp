#include "cgi/http_exchange.h"

#include <cerrno>
#include <chrono>

#include "cgi/error_answer.h"
#include "cgi/linger.h"
#include "cgi/run_handler.h"

namespace cogi::cgi {
namespace {

// Room behind a head for pieces of its body.
constexpr size_t kBodyRoom = 1024;

Deadline After(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

}  // namespace

void HttpExchange::Attach(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                          Events& events) {
  stream_ = &stream;
  limits_ = &limits;
  info_ = &info;
  events_ = &events;
  input_.Clear();
  body_.End();
}

// Reads a head into head_. False: there is none, and what had to be said about that was said.
bool HttpExchange::ReadHead() {
  parser_.Reset();
  bool timed = false;
  for (;;) {
    HttpHeadParser::Result result = parser_.Push(input_.bytes(), *limits_, head_);
    if (result == HttpHeadParser::Result::kDone) return true;
    if (result == HttpHeadParser::Result::kBad) return Refuse(parser_.error(), false, nullptr);
    // The clock runs from the head's first byte to its last, however many reads that takes.
    if (!timed && !input_.empty()) {
      stream_->SetReadDeadline(After(limits_->header_time));
      timed = true;
    }
    if (input_.room() == 0 || input_.empty()) input_.Reserve(input_.bytes().size() + 1);
    ssize_t got = input_.Fill(*stream_);
    if (got > 0) continue;
    if (!parser_.started()) return false;
    if (got < 0 && errno == ETIMEDOUT) {
      return Refuse({408, "header_timeout", "the header did not come in time"}, false, nullptr);
    }
    events_->Refused({0, "truncated_header", "the client ended in the middle of a header"},
                     nullptr);
    return false;
  }
}

// Answers with an error and ends the connection. Returns false, as what follows it must.
bool HttpExchange::Refuse(const HttpError& error, bool is_head, const Request* request) {
  HttpHead none;
  body_.Start(*stream_, input_, 0, *limits_, *limits_, none);
  response_.Start(*stream_, body_, request_, *info_, is_head, 1, false);
  FillErrorAnswer(response_, error.status, error.reason);
  events_->Refused({error.status, error.code, error.reason}, request);
  if (response_.End()) LingerOn();
  return false;
}

bool HttpExchange::ServeOne(Handler& handler, bool last) {
  request_.set_terms(*limits_);
  if (!ReadHead()) return false;
  input_.Reserve(parser_.size() < input_.bytes().size() ? 0 : kBodyRoom);
  const char* base = input_.bytes().data();
  input_.Consume(parser_.size());
  HttpError error = request_.Start(head_, base, *info_);
  bool is_head = request_.method() == "HEAD";
  if (error.status != 0) return Refuse(error, is_head, nullptr);
  if (head_.content_length.value_or(0) > limits_->body) {
    return Refuse({413, "body_too_large", "the announced body is larger than allowed"}, is_head,
                  &request_);
  }
  body_.Start(*stream_, input_, input_.begin(), *limits_, request_.terms(), head_);
  bool keep = head_.keep_alive && !last && !events_->Draining();
  response_.Start(*stream_, body_, request_, *info_, is_head, head_.minor_version, keep);
  events_->Started(request_);
  Run(handler);
  bool goes_on = Finish();
  body_.End();
  events_->Finished(request_, response_);
  return goes_on;
}

void HttpExchange::Run(Handler& handler) {
  if (request_.asterisk()) {
    response_.SetStatus(204);
    response_.SetHeader("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
    return;
  }
  RunHandler(handler, request_, response_, *events_);
}

void HttpExchange::ReplaceByBodyError() {
  if (body_.failure() == HttpBody::Failure::kNone) return;
  response_.CloseAfter();
  if (body_.failure() != HttpBody::Failure::kCancelled)
    ReplaceByRefusal(body_.refusal(), request_, response_, *events_);
}

// Completes the answer and leaves the connection between two requests. False: it ends.
bool HttpExchange::Finish() {
  ReplaceByBodyError();
  // Not once the head has said otherwise: the client may be writing its next request.
  if (!response_.head_sent() && events_->Draining()) response_.CloseAfter();
  if (body_.awaits_continue() ||
      (!body_.complete() && body_.left() > limits_->linger_bytes && body_.left() != UINT64_MAX)) {
    response_.CloseAfter();
  }
  bool sent = response_.End();
  if (!sent && !response_.body_short() && errno == ETIMEDOUT) {
    events_->Refused({0, "send_timeout", "the client took nothing of its answer in time"},
                     &request_);
  }
  ReportLength(response_, response_.body_short(), request_, *events_);
  if (!sent) return false;
  if (response_.keep_alive() && (body_.complete() || body_.Discard(limits_->linger_bytes))) {
    return true;
  }
  if (!body_.complete() || !input_.empty()) LingerOn();
  return false;
}

void HttpExchange::LingerOn() {
  Linger(*stream_, input_, limits_->linger_bytes, limits_->linger_time);
}

}  // namespace cogi::cgi
