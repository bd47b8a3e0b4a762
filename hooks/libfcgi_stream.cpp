// The two callbacks of a request's FCGX_Streams: all of libfcgi's Get and Put functions work on the
// public pointers of the stream, and call these when there is nothing left between them.
#include <cerrno>
#include <new>

#include "hooks/libfcgi.h"
#include "hooks/program.h"

namespace cogi::hooks {
namespace {

using Stream = LibfcgiRequest::Stream;

void Close(FCGX_Stream& stream, int error) noexcept {
  stream.isClosed = 1;
  if (error != 0) stream.FCGI_errno = error;
}

// False, with the stream closed, if there is no memory.
bool MakeBuffer(Stream& stream, size_t size) noexcept {
  if (stream.buffer != nullptr) return true;
  stream.buffer.reset(new (std::nothrow) unsigned char[size]);
  if (stream.buffer == nullptr) Close(stream.base, ENOMEM);
  return stream.buffer != nullptr;
}

// At the end of input the stream is closed: that is how libfcgi says EOF.
void Fill(FCGX_Stream* base) {
  Stream& stream = *reinterpret_cast<Stream*>(base);
  if (base->isClosed != 0) return;
  ssize_t got = -1;
  {
    const ServerScope scope;
    if (!MakeBuffer(stream, LibfcgiRequest::kBufferSize)) return;
    got = stream.request->Read(stream.buffer.get(), LibfcgiRequest::kBufferSize);
  }
  if (got <= 0) return Close(*base, got < 0 ? errno : 0);
  base->rdNext = base->stopUnget = stream.buffer.get();
  base->stop = base->wrNext = base->rdNext + got;
}

// Called with a full buffer, by FCGX_FClose(), and by FCGX_FFlush(): in each case what there is
// goes out now.
void Empty(FCGX_Stream* base, int close) {
  Stream& stream = *reinterpret_cast<Stream*>(base);
  if (base->isClosed != 0) return;
  LibfcgiRequest& request = *stream.request;
  const bool is_error = &stream == &request.err;
  const size_t size = is_error ? LibfcgiRequest::kErrorBufferSize : LibfcgiRequest::kBufferSize;
  bool sent = true;
  {
    const ServerScope scope;
    if (!MakeBuffer(stream, size)) return;
    const std::string_view bytes = LibfcgiRequest::Pending(stream);
    if (!is_error)
      sent = base->stop == nullptr || request.Write(bytes, close == 0);
    else if (!bytes.empty())
      request.WriteError(bytes);
  }
  if (!sent) return Close(*base, errno);
  base->wrNext = stream.buffer.get();
  base->rdNext = base->stop = base->wrNext + size;
}

}  // namespace

Stream* LibfcgiRequest::StreamOf(FCGX_Stream* stream) noexcept {
  const bool ours =
      stream->isReader != 0 ? stream->fillBuffProc == Fill : stream->emptyBuffProc == Empty;
  return ours ? reinterpret_cast<Stream*>(stream) : nullptr;
}

std::string_view LibfcgiRequest::Pending(const Stream& stream) noexcept {
  if (stream.base.isClosed != 0 || stream.base.stop == nullptr) return {};
  const unsigned char* begin = stream.buffer.get();
  return {reinterpret_cast<const char*>(begin), static_cast<size_t>(stream.base.wrNext - begin)};
}

void LibfcgiRequest::Open() noexcept {
  for (Stream* stream : {&in, &out, &err}) {
    stream->base = {};
    stream->request = this;
  }
  in.base.isReader = 1;
  in.base.fillBuffProc = Fill;
  out.base.emptyBuffProc = err.base.emptyBuffProc = Empty;
  exit_status = 0;
  in_data = false;
}

}  // namespace cogi::hooks
