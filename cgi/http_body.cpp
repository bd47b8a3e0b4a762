#include "cgi/http_body.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace cogi::cgi {

void HttpBody::Start(ByteStream& stream, InputBuffer& input, size_t front, const Limits& limits,
                     const Terms& terms, const HttpHead& head) {
  stream_ = &stream;
  input_ = &input;
  front_ = front;
  terms_ = &terms;
  clock_.Start(terms);
  spool_.Start(limits.body_memory, limits.spool_folder);
  chunked_ = head.chunked;
  if (chunked_) chunks_ = ChunkDecoder(limits.header_block);
  left_ = head.content_length.value_or(0);
  complete_ = !chunked_ && left_ == 0;
  awaits_continue_ = head.expect_continue && !complete_ && input.empty();
  continue_allowed_ = true;
  taken_ = 0;
  failure_ = Failure::kNone;
  error_ = 0;
  reason_ = "";
}

ssize_t HttpBody::Fail(Failure failure, int error, const char* reason) {
  failure_ = failure;
  error_ = error;
  reason_ = reason;
  errno = error;
  return -1;
}

bool HttpBody::SendContinue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  awaits_continue_ = false;
  iovec piece{const_cast<char*>(kContinue.data()), kContinue.size()};
  return stream_->Write(&piece, 1);
}

ssize_t HttpBody::Read(void* buffer, size_t size) {
  if (!spool_.empty()) return spool_.Read(buffer, size);
  return ReadWire(buffer, size, terms_->body);
}

bool HttpBody::Spool() {
  if (complete_) return true;
  constexpr size_t kPiece = 64 * 1024;
  auto buffer = std::make_unique_for_overwrite<char[]>(kPiece);
  for (;;) {
    ssize_t got = ReadWire(buffer.get(), kPiece, terms_->body);
    if (got <= 0) return got == 0;
    if (!spool_.Append({buffer.get(), static_cast<size_t>(got)})) {
      Fail(Failure::kNoRoom, errno, "the body cannot be kept");
      return false;
    }
  }
}

ssize_t HttpBody::ReadWire(void* buffer, size_t size, uint64_t limit) {
  if (failure_ != Failure::kNone) {
    errno = error_;
    return -1;
  }
  if (complete_ || size == 0) return 0;
  if (!chunked_ && left_ > limit - std::min(limit, taken_)) {
    return Fail(Failure::kTooLarge, EMSGSIZE, "the body is larger than allowed");
  }
  if (awaits_continue_ && continue_allowed_ && !SendContinue()) {
    return Fail(Failure::kGone, errno, "the client has gone");
  }
  // One byte over the limit is asked for, to tell a body that fits from one that does not.
  uint64_t room = limit - std::min(limit, taken_);
  if (room < size) size = static_cast<size_t>(room) + 1;
  char* out = static_cast<char*>(buffer);
  ssize_t got = chunked_ ? ReadChunked(out, size) : ReadKnown(out, size);
  if (got > 0) {
    taken_ += static_cast<uint64_t>(got);
    if (taken_ > limit) {
      return Fail(Failure::kTooLarge, EMSGSIZE, "the body is larger than allowed");
    }
  }
  return got;
}

Refusal HttpBody::refusal() const {
  switch (failure_) {
    case Failure::kTooLarge:
      return {413, "body_too_large", reason_};
    case Failure::kTimeout:
      return {408, "body_timeout", reason_};
    case Failure::kMalformed:
      return {400, "bad_chunk", reason_};
    case Failure::kNoRoom:
      return {507, "body_no_room", reason_};
    case Failure::kNone:
    case Failure::kGone:
    case Failure::kCancelled:
      break;
  }
  return {0, "truncated_body", reason_};
}

// Judges what a read from the connection gave: the end of the stream is a failure too.
ssize_t HttpBody::Received(ssize_t got) {
  if (got > 0) return got;
  if (got == 0) return Fail(Failure::kGone, EPROTO, "the client ended in the middle of the body");
  int error = errno;
  if (error == ETIMEDOUT) return Fail(Failure::kTimeout, error, "the body came too slowly");
  // The server gave the request up: the connection is sound, and the answer still to be said.
  if (error == ECANCELED) return Fail(Failure::kCancelled, error, "the request was cancelled");
  return Fail(Failure::kGone, error, "the connection broke in the middle of the body");
}

ssize_t HttpBody::ReadKnown(char* buffer, size_t size) {
  size = static_cast<size_t>(std::min<uint64_t>(size, left_));
  ssize_t got;
  if (!input_->empty()) {
    size = std::min(size, input_->bytes().size());
    std::memcpy(buffer, input_->bytes().data(), size);
    input_->Consume(size);
    got = static_cast<ssize_t>(size);
  } else {
    got = Received(clock_.Read(*stream_, [&] { return stream_->Read(buffer, size); }));
  }
  if (got > 0) {
    left_ -= static_cast<uint64_t>(got);
    complete_ = left_ == 0;
  }
  return got;
}

ssize_t HttpBody::ReadChunked(char* buffer, size_t size) {
  for (;;) {
    if (input_->empty() && chunks_.data_left() > 0) {
      // Data of a chunk goes straight to the caller.
      size = static_cast<size_t>(std::min<uint64_t>(size, chunks_.data_left()));
      ssize_t got = Received(clock_.Read(*stream_, [&] { return stream_->Read(buffer, size); }));
      if (got > 0) chunks_.Skip(static_cast<uint64_t>(got));
      return got;
    }
    if (input_->empty()) {
      input_->Rewind(front_);
      ssize_t got = Received(clock_.Read(*stream_, [&] { return input_->Fill(*stream_); }));
      if (got < 0) return got;
    }
    std::string_view data;
    input_->Consume(chunks_.Next(input_->bytes(), size, data));
    if (chunks_.error() != nullptr) return Fail(Failure::kMalformed, EPROTO, chunks_.error());
    if (!data.empty()) {
      std::memcpy(buffer, data.data(), data.size());
      return static_cast<ssize_t>(data.size());
    }
    if (chunks_.done()) {
      complete_ = true;
      return 0;
    }
  }
}

bool HttpBody::Discard(uint64_t most) {
  char scratch[1024];
  while (!complete_ && failure_ == Failure::kNone) {
    ssize_t got = ReadWire(scratch, sizeof scratch, taken_ + most);
    if (got > 0) most -= static_cast<uint64_t>(got);
  }
  return complete_;
}

}  // namespace cogi::cgi
