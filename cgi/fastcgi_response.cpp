#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cgi/cgi_head.h"
#include "cgi/fastcgi_exchange.h"
#include "cgi/fcgi_encoder.h"

namespace cogi::cgi {

void FastCgiResponse::Start(ByteStream& stream, FastCgiRequest& request, uint16_t id) {
  StartOver(request.method() != "HEAD");
  stream_ = &stream;
  request_ = &request;
  id_ = id;
  if (head_.capacity() > 4096) std::string().swap(head_);
}

bool FastCgiResponse::Emit(const Output& output) {
  head_.clear();
  end_.clear();
  if (output.head) AppendCgiHead(head_, *this, output.length);
  if (output.end) {
    fcgi::AppendStreamEnd(end_, fcgi::Type::kStdout, id_);
    fcgi::AppendEndRequest(end_, id_, 0, fcgi::ProtocolStatus::kRequestComplete);
  }
  std::string_view pieces[] = {head_, output.body[0], output.body[1]};
  if (output.file_size == 0) {
    return fcgi::WriteStream(*stream_, fcgi::Type::kStdout, id_, pieces, end_);
  }
  return fcgi::WriteStream(*stream_, fcgi::Type::kStdout, id_, pieces, {}) && EmitFile(output);
}

bool FastCgiResponse::EndAborted() {
  if (aborted()) return false;
  end_.clear();
  if (head_sent()) fcgi::AppendStreamEnd(end_, fcgi::Type::kStdout, id_);
  fcgi::AppendEndRequest(end_, id_, 1, fcgi::ProtocolStatus::kRequestComplete);
  iovec piece{end_.data(), end_.size()};
  return stream_->Write(&piece, 1);
}

// Records need their headers between pieces of 64 KiB, so a file gains nothing from sendfile(2).
bool FastCgiResponse::EmitFile(const Output& output) {
  constexpr size_t kPiece = 64 * 1024;
  auto buffer = std::make_unique_for_overwrite<char[]>(std::min(output.file_size, kPiece));
  off_t offset = output.file_offset;
  for (size_t left = output.file_size; left > 0;) {
    ssize_t got = ::pread(output.file, buffer.get(), std::min(left, kPiece), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) errno = EIO;
      return false;
    }
    left -= static_cast<size_t>(got);
    offset += got;
    std::string_view piece(buffer.get(), static_cast<size_t>(got));
    std::string_view after = left == 0 ? std::string_view(end_) : std::string_view();
    if (!fcgi::WriteStream(*stream_, fcgi::Type::kStdout, id_, {&piece, 1}, after)) return false;
  }
  return true;
}

}  // namespace cogi::cgi
