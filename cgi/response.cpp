#include "cgi/response.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

// What a handler may collect in headers; far more than any peer takes.
constexpr size_t kMaxHeaderBytes = 256 * 1024;

// How much of a file is read at once to be filtered.
constexpr size_t kFilePiece = 64 * 1024;

}  // namespace

bool Response::SetStatus(int status, std::string_view reason) {
  if (head_sent_ || status < 200 || status > 999 || !IsFieldValue(reason)) return false;
  status_ = status;
  reason_ = reason;
  return true;
}

bool Response::CheckedField(std::string_view name, std::string_view& value) {
  value = TrimWhitespace(value);
  if (head_sent_ || !IsToken(name) || !IsFieldValue(value) || IsHopByHop(name)) return false;
  if (name.size() + value.size() + fields_.bytes() > kMaxHeaderBytes) return false;
  if (!EqualIgnoringCase(name, "Content-Length")) return true;
  std::optional<uint64_t> length = ParseLength(value);
  if (!length || *length < body_bytes_) return false;
  declared_length_ = length;
  return true;
}

bool Response::SetHeader(std::string_view name, std::string_view value) {
  if (!CheckedField(name, value)) return false;
  fields_.RemoveIgnoringCase(name);
  fields_.Add(name, value);
  return true;
}

bool Response::AddHeader(std::string_view name, std::string_view value) {
  if (EqualIgnoringCase(name, "Content-Length")) return SetHeader(name, value);
  if (!CheckedField(name, value)) return false;
  fields_.Add(name, value);
  return true;
}

bool Response::RemoveHeader(std::string_view name) {
  if (head_sent_ || !fields_.RemoveIgnoringCase(name)) return false;
  if (EqualIgnoringCase(name, "Content-Length")) declared_length_.reset();
  return true;
}

std::optional<std::string_view> Response::Header(std::string_view name) const {
  return fields_.FindIgnoringCase(name);
}

bool Response::BodyAllowed() const { return has_body_ && status_ != 204 && status_ != 304; }

// How many of `size` more body bytes fit into the announced length; counts them.
uint64_t Response::Admit(uint64_t size) {
  if (declared_length_ && size > *declared_length_ - body_bytes_) {
    body_cut_ = true;
    size = *declared_length_ - body_bytes_;
  }
  body_bytes_ += size;
  return size;
}

bool Response::SetFilter(std::unique_ptr<ResponseFilter> filter) {
  if (head_sent_) return false;
  filter_ = std::move(filter);
  return true;
}

// The head is about to leave: what has to be known and done by then.
bool Response::BeginHead(Output& output) {
  if (!output.end && !PrepareHead()) return false;
  output.head = true;
  if (!output.length) output.length = declared_length_;
  filtered_ = filter_ != nullptr && filter_->Start(*this, output.length) && output.length != 0;
  if (filtered_) output.length.reset();
  head_sent_ = true;
  return true;
}

bool Response::Send(Output& output, bool flush) {
  if (aborted_ && error_ == 0) error_ = EPIPE;
  if (error_ != 0) {
    errno = error_;
    return false;
  }
  if (!head_sent_ && !BeginHead(output)) return false;
  output.body[0] = kept_;
  if (!BodyAllowed()) {
    output.body[0] = output.body[1] = {};
    output.file_size = 0;
  }
  using Then = ResponseFilter::Then;
  const Then then = output.end ? Then::kEnd : flush ? Then::kFlush : Then::kKeep;
  bool sent = filtered_ && BodyAllowed() ? EmitFiltered(output, then) : Emit(output);
  if (!sent) {
    error_ = errno == 0 ? EIO : errno;
    aborted_ = true;
  }
  kept_.clear();
  if (!sent) errno = error_;
  return sent;
}

bool Response::EmitFiltered(Output output, ResponseFilter::Then then) {
  coded_.clear();
  filter_->Body(output.body[0], ResponseFilter::Then::kKeep, coded_);
  filter_->Body(output.body[1], ResponseFilter::Then::kKeep, coded_);
  output.body[0] = output.body[1] = {};
  if (output.file_size > 0 && !FilterFile(output)) return false;
  if (then != ResponseFilter::Then::kKeep) filter_->Body({}, then, coded_);
  // All of the answer at once: its length is known after all.
  if (output.head && output.end) output.length = coded_.size();
  output.body[0] = coded_;
  return Emit(output);
}

// A file goes through the filter in pieces; `output` is left with what was not sent yet.
bool Response::FilterFile(Output& output) {
  std::string piece(std::min(output.file_size, kFilePiece), '\0');
  off_t offset = output.file_offset;
  for (size_t left = std::exchange(output.file_size, 0); left > 0;) {
    ssize_t got = ::pread(output.file, piece.data(), std::min(left, piece.size()), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;  // shorter than was announced
    if (got <= 0) return false;
    filter_->Body({piece.data(), static_cast<size_t>(got)}, ResponseFilter::Then::kKeep, coded_);
    left -= static_cast<size_t>(got);
    offset += got;
    if (coded_.size() < kKeepBack || left == 0) continue;
    Output part;
    part.head = std::exchange(output.head, false);
    part.body[0] = coded_;
    if (!Emit(part)) return false;
    coded_.clear();
  }
  return true;
}

bool Response::ReplaceBody(std::string_view bytes) {
  if (head_sent_) return false;
  RemoveHeader("Content-Length");
  kept_.clear();
  body_bytes_ = 0;
  body_cut_ = false;
  return Write(bytes);
}

bool Response::Write(std::string_view bytes) {
  bytes = bytes.substr(0, Admit(bytes.size()));
  if (error_ == 0 && !aborted_) {
    if (bytes.empty() || !BodyAllowed()) return true;
    if (kept_.size() + bytes.size() <= kKeepBack) {
      kept_.append(bytes);
      return true;
    }
  }
  Output output;
  output.body[1] = bytes;
  return Send(output);
}

bool Response::Flush() {
  if (head_sent_ && kept_.empty() && error_ == 0 && !aborted_) return true;
  Output output;
  return Send(output, true);
}

bool Response::SendFile(int fd, off_t offset, size_t size) {
  Output output;
  output.file = fd;
  output.file_offset = offset;
  output.file_size = Admit(size);
  return Send(output);
}

bool Response::End() {
  Output output;
  // An empty answer to HEAD may stand for a GET with a body, so its length stays unsaid.
  if (!head_sent_ && !declared_length_ && (has_body_ || body_bytes_ > 0)) {
    output.length = body_bytes_;
  }
  body_short_ = declared_length_ && body_bytes_ < *declared_length_ && BodyAllowed();
  output.end = !body_short_;
  bool sent = Send(output);
  if (body_short_) aborted_ = true;
  filter_.reset();  // a coding's memory is not kept while the connection rests
  filtered_ = false;
  return sent && !body_short_;
}

bool Response::Reset() {
  if (head_sent_) return false;
  fields_.Clear();
  reason_.clear();
  kept_.clear();
  declared_length_.reset();
  body_bytes_ = 0;
  status_ = 200;
  body_cut_ = body_short_ = placeholder_ = false;
  return true;
}

void Response::StartOver(bool has_body) {
  head_sent_ = false;
  Reset();
  if (kept_.capacity() > 2 * kKeepBack) kept_.shrink_to_fit();
  if (coded_.capacity() > 2 * kKeepBack) std::string().swap(coded_);
  filter_.reset();
  filtered_ = false;
  has_body_ = has_body;
  aborted_ = false;
  error_ = 0;
}

}  // namespace cogi::cgi
