#include "cgi/scgi_connection.h"

#include <cerrno>
#include <chrono>
#include <string>

#include "cgi/cgi_head.h"
#include "cgi/error_answer.h"
#include "cgi/fastcgi_request.h"
#include "cgi/http_body.h"
#include "cgi/linger.h"
#include "cgi/pool.h"
#include "cgi/run_handler.h"
#include "cgi/scgi_header.h"

namespace cogi::cgi {
namespace {

class ScgiResponse final : public Response {
 public:
  void Start(ByteStream& stream, FastCgiRequest& request) {
    StartOver(request.method() != "HEAD");
    stream_ = &stream;
    request_ = &request;
  }
  bool End() { return Response::End(); }
  using Response::body_short;

 private:
  bool PrepareHead() override { return request_->SpoolBody(); }

  bool Emit(const Output& output) override {
    stream_->SetWriteTimeout(request_->terms().send_idle);
    head_.clear();
    if (output.head) AppendCgiHead(head_, *this, output.length);
    iovec pieces[3];
    int count = 0;
    for (std::string_view piece : {std::string_view(head_), output.body[0], output.body[1]}) {
      if (!piece.empty()) pieces[count++] = {const_cast<char*>(piece.data()), piece.size()};
    }
    if (output.file_size == 0) return count == 0 || stream_->Write(pieces, count);
    return (count == 0 || stream_->WriteMore(pieces, count)) &&
           stream_->SendFile(output.file, output.file_offset, output.file_size);
  }

  ByteStream* stream_ = nullptr;
  FastCgiRequest* request_ = nullptr;
  std::string head_;
};

// The request of one connection, with all the memory that it takes.
class ScgiExchange final : private BodySource {
 public:
  void Serve(ByteStream& stream, const Limits& limits, const ConnectionInfo& info, Events& events,
             Handler& handler);

 private:
  bool ReadHead(ByteStream& stream, const Limits& limits, Events& events);
  void Answer(Events& events, Handler& handler);

  ssize_t ReadBody(void* buffer, size_t size, std::optional<uint64_t>) override {
    return body_.Read(buffer, size);
  }
  bool SpoolBody(std::optional<uint64_t>) override { return body_.Spool(); }
  ssize_t ReadData(void*, size_t) override { return 0; }

  InputBuffer input_;
  HttpHead framing_;  // SCGI's body is HTTP's of known length
  HttpBody body_;
  FastCgiRequest request_;
  ScgiResponse response_;
};

bool ScgiExchange::ReadHead(ByteStream& stream, const Limits& limits, Events& events) {
  stream.SetReadDeadline(std::chrono::steady_clock::now() + limits.header_time);
  Refusal refusal{0, nullptr, nullptr};
  while (refusal.code == nullptr) {
    ScgiHeader header = ParseScgiHeader(input_.bytes(), limits, request_.variables());
    if (header.result == ScgiHeader::Result::kDone) {
      input_.Consume(header.size);
      framing_.Clear();
      framing_.content_length = header.content_length;
      return true;
    }
    if (header.result == ScgiHeader::Result::kBad) {
      refusal = {0, header.code, header.reason};
      break;
    }
    input_.Reserve(1);
    ssize_t got = input_.Fill(stream);
    if (got > 0) continue;
    if (input_.empty()) return false;
    refusal = {0, "scgi_truncated", "the peer ended in the middle of the header"};
    if (got < 0 && errno == ETIMEDOUT) {
      refusal = {0, "scgi_header_timeout", "the header did not come in time"};
    }
  }
  events.Refused(refusal, nullptr);
  return false;
}

void ScgiExchange::Serve(ByteStream& stream, const Limits& limits, const ConnectionInfo& info,
                         Events& events, Handler& handler) {
  input_.Clear();
  request_.StartOver(*this);
  if (!ReadHead(stream, limits, events)) return;
  for (size_t i = 0; info.variables != nullptr && i < info.variables->size(); ++i) {
    request_.SetVariable((*info.variables)[i].name, (*info.variables)[i].value);
  }
  request_.set_terms(limits);
  body_.Start(stream, input_, input_.begin(), limits, request_.terms(), framing_);
  HttpError error = request_.Complete();
  response_.Start(stream, request_);
  if (error.status == 0 && request_.content_length().value_or(0) > limits.body) {
    error = {413, "body_too_large", "the announced body is larger than allowed"};
  }
  if (error.status != 0) {
    events.Refused({error.status, error.code, error.reason}, nullptr);
    FillErrorAnswer(response_, error.status, error.reason);
    response_.End();
  } else {
    Answer(events, handler);
  }
  // A web server whose write of the body fails may not look at the answer.
  if (!response_.aborted() && !body_.complete()) {
    Linger(stream, input_, limits.body, limits.linger_time);
  }
  body_.End();
}

void ScgiExchange::Answer(Events& events, Handler& handler) {
  events.Started(request_);
  RunHandler(handler, request_, response_, events);
  if (body_.failure() != HttpBody::Failure::kNone &&
      body_.failure() != HttpBody::Failure::kCancelled)
    ReplaceByRefusal(body_.refusal(), request_, response_, events);
  response_.End();
  ReportLength(response_, response_.body_short(), request_, events);
  events.Finished(request_, response_);
}

// Not inlined, so that nothing of a request's work lies in the frames of a resting connection.
[[gnu::noinline]] void ServeBusy(ByteStream& stream, const Limits& limits,
                                 const ConnectionInfo& info, Events& events, Handler& handler) {
  Pool<ScgiExchange>::Take()->Serve(stream, limits, info, events, handler);
}

}  // namespace

void ScgiConnection::Serve(Handler& handler) {
  stream_.SetWriteTimeout(limits_.send_idle);
  if (events_.Draining()) return;
  stream_.SetReadDeadline(std::chrono::steady_clock::now() + limits_.header_time);
  if (stream_.AwaitInput()) ServeBusy(stream_, limits_, info_, events_, handler);
}

}  // namespace cogi::cgi
