#include "cgi/response.h"

#include <cerrno>

#include "cgi/http_syntax.h"

namespace cogi::cgi {
namespace {

// What a handler may collect in headers; far more than any peer takes.
constexpr size_t kMaxHeaderBytes = 256 * 1024;

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

bool Response::Send(Output& output) {
  if (aborted_ && error_ == 0) error_ = EPIPE;
  if (error_ != 0) {
    errno = error_;
    return false;
  }
  if (!head_sent_) {
    if (!output.end && !PrepareHead()) return false;
    output.head = true;
    if (!output.length) output.length = declared_length_;
    head_sent_ = true;
  }
  output.body[0] = kept_;
  if (!BodyAllowed()) {
    output.body[0] = output.body[1] = {};
    output.file_size = 0;
  }
  bool sent = Emit(output);
  if (!sent) {
    error_ = errno == 0 ? EIO : errno;
    aborted_ = true;
  }
  kept_.clear();
  if (!sent) errno = error_;
  return sent;
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
  return Send(output);
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
  body_cut_ = body_short_ = false;
  return true;
}

void Response::StartOver(bool has_body) {
  head_sent_ = false;
  Reset();
  if (kept_.capacity() > 2 * kKeepBack) kept_.shrink_to_fit();
  has_body_ = has_body;
  aborted_ = false;
  error_ = 0;
}

}  // namespace cogi::cgi
