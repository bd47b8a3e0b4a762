#include "server/program/program_io.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "hooks/program.h"

namespace cogi::server {
namespace {

constexpr size_t kMaxLine = 8 * 1024;

ssize_t BadDescriptor() {
  errno = EBADF;
  return -1;
}

std::string_view View(const iovec& piece) {
  return {static_cast<const char*>(piece.iov_base), piece.iov_len};
}

// A program calls from C, which no exception can pass through: want of memory is an error of its
// call.
template <typename Call>
ssize_t AskedFromC(Call call) {
  hooks::ServerScope scope;
  try {
    return call();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return -1;
  }
}

}  // namespace

void RequestInput::Begin(cgi::Request& request) {
  request_ = &request;
  limited_ = request.content_length().has_value();
  left_ = request.content_length().value_or(0);
}

ssize_t RequestInput::Readv(const iovec* pieces, int count) {
  const iovec* piece = std::find_if(pieces, pieces + std::max(count, 0),
                                    [](const iovec& each) { return each.iov_len != 0; });
  if (piece == pieces + std::max(count, 0) || (limited_ && left_ == 0)) return 0;
  const size_t wanted =
      limited_ ? static_cast<size_t>(std::min<uint64_t>(left_, piece->iov_len)) : piece->iov_len;
  const ssize_t got = AskedFromC([&] { return request_->ReadBody(piece->iov_base, wanted); });
  if (got > 0 && limited_) left_ -= static_cast<uint64_t>(got);
  return got;
}

ssize_t RequestInput::Writev(const iovec*, int) { return BadDescriptor(); }

void ResponseOutput::Begin(cgi::Response& response, uint64_t max_bytes) {
  response_ = &response;
  header_.Reset();
  bytes_ = 0;
  max_bytes_ = max_bytes;
  over_limit_ = false;
  no_memory_ = false;
}

ssize_t ResponseOutput::Readv(const iovec*, int) { return BadDescriptor(); }

ssize_t ResponseOutput::Writev(const iovec* pieces, int count) {
  const hooks::Program* program = hooks::Program::Current();
  const bool may_wait = program != nullptr && program->output_may_wait;
  ssize_t taken = 0;
  const ssize_t result = AskedFromC([&]() -> ssize_t {
    for (int i = 0; i < count; ++i) {
      if (!Take(View(pieces[i]), may_wait || i + 1 < count)) return taken > 0 ? taken : -1;
      taken += static_cast<ssize_t>(pieces[i].iov_len);
    }
    return taken;
  });
  if (result < 0 && errno == ENOMEM) no_memory_ = true;
  return result;
}

bool ResponseOutput::Take(std::string_view bytes, bool may_wait) {
  bytes_ += bytes.size();
  if (max_bytes_ != 0 && bytes_ > max_bytes_) {
    over_limit_ = true;
    errno = EFBIG;
    return false;
  }
  if (header_.state() == cgi::CgiHeaderParser::State::kMore) {
    bytes.remove_prefix(header_.Push(bytes));
    if (header_.state() == cgi::CgiHeaderParser::State::kDone && !local_redirect())
      header_.ApplyTo(*response_);
  }
  if (header_.state() != cgi::CgiHeaderParser::State::kDone || local_redirect()) return true;
  return response_->Write(bytes) && (may_wait || response_->Flush());
}

void ResponseOutput::Finish() {
  if (header_.state() == cgi::CgiHeaderParser::State::kMore) header_.Finish();
}

void ErrorLines::Begin(Sink sink) {
  sink_ = std::move(sink);
  line_.clear();
}

ssize_t ErrorLines::Readv(const iovec*, int) { return BadDescriptor(); }

ssize_t ErrorLines::Writev(const iovec* pieces, int count) {
  return AskedFromC([&] {
    ssize_t taken = 0;
    for (int i = 0; i < count; ++i) {
      Take(View(pieces[i]));
      taken += static_cast<ssize_t>(pieces[i].iov_len);
    }
    return taken;
  });
}

void ErrorLines::Take(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, std::min(end, kMaxLine - std::min(line_.size(), kMaxLine))));
    if (end == bytes.npos) break;
    sink_(line_);
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void ErrorLines::Finish() {
  if (!line_.empty()) sink_(line_);
  line_.clear();
}

}  // namespace cogi::server
