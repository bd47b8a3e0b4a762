#include <charconv>

#include "cgi/cgi_head.h"
#include "cgi/http_date.h"
#include "cgi/http_exchange.h"
#include "cgi/http_status.h"

namespace cogi::cgi {
namespace {

// Up to this size a body is copied behind its head: cheaper than a second piece for the kernel.
constexpr size_t kCopiedBody = 1024;

void AppendNumber(std::string& out, uint64_t value, int base = 10) {
  char text[20];
  char* end = std::to_chars(text, text + sizeof text, value, base).ptr;
  out.append(text, end);
}

iovec Piece(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

constexpr std::string_view kCrLf = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace

void HttpResponse::Start(ByteStream& stream, HttpBody& body, const Request& request,
                         const ConnectionInfo& info, bool is_head, uint8_t minor_version,
                         bool keep_alive) {
  StartOver(!is_head);
  stream_ = &stream;
  body_ = &body;
  request_ = &request;
  info_ = &info;
  is_head_ = is_head;
  minor_version_ = minor_version;
  keep_alive_ = keep_alive;
  chunked_ = false;
  if (head_.capacity() > 4096) std::string().swap(head_);
}

void HttpResponse::MakeHead(const Output& output) {
  bool no_content = status() == 204 || status() == 304;
  // Without a length and without chunks the body ends with the connection (RFC 9112 6.3).
  bool framed = output.length || no_content || is_head_;
  chunked_ = !framed && minor_version_ > 0;
  if (!framed && !chunked_) keep_alive_ = false;

  head_ = "HTTP/1.1 ";
  AppendNumber(head_, static_cast<uint64_t>(status()));
  head_ += ' ';
  head_ += reason().empty() ? StandardReason(status()) : reason();
  head_ += kCrLf;
  bool has_date = false, has_server = info_->server_software[0] == '\0';
  for (size_t i = 0; i < fields().size(); ++i) {
    FieldView field = fields()[i];
    if (EqualIgnoringCase(field.name, "content-length")) continue;
    if (EqualIgnoringCase(field.name, "date")) has_date = true;
    if (EqualIgnoringCase(field.name, "server")) has_server = true;
    head_.append(field.name).append(": ").append(field.value).append(kCrLf);
  }
  if (!has_server) head_.append("Server: ").append(info_->server_software).append(kCrLf);
  if (!has_date) head_.append("Date: ").append(CurrentHttpDate()).append(kCrLf);
  // RFC 9110 8.6: none with 204; with 304 and HEAD it is that of the answer to GET.
  if (output.length && status() != 204 && (status() != 304 || *output.length > 0)) {
    head_ += "Content-Length: ";
    AppendNumber(head_, *output.length);
    head_ += kCrLf;
  }
  if (NeedsNoBuffering(*this)) head_ += kNoBuffering;
  if (chunked_) head_ += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    head_ += "Connection: close\r\n";
  } else if (minor_version_ == 0) {
    head_ += "Connection: keep-alive\r\n";
  }
  head_ += kCrLf;
}

bool HttpResponse::PrepareHead() {
  // A client that waits for "100 Continue" sends no body after a final status.
  return body_->awaits_continue() || body_->Spool();
}

bool HttpResponse::Emit(const Output& output) {
  stream_->SetWriteTimeout(request_->terms().send_idle);
  if (output.head) {
    body_->ForgetContinue();
    MakeHead(output);
  } else {
    head_.clear();
  }
  return SendPieces(output);
}

// Head, chunk frame, body, file and end in as few calls as there can be.
bool HttpResponse::SendPieces(const Output& output) {
  size_t body = output.body[0].size() + output.body[1].size();
  uint64_t chunk = body + output.file_size;
  bool framed = chunked_ && chunk > 0;
  if (framed) {
    AppendNumber(head_, chunk, 16);
    head_ += kCrLf;
  }
  std::string_view tail;
  if (chunked_ && output.end) tail = framed ? "\r\n0\r\n\r\n" : kLastChunk;
  if (chunked_ && !output.end && framed) tail = kCrLf;

  iovec pieces[4];
  int count = 0;
  if (body <= kCopiedBody && output.file_size == 0) {
    head_.append(output.body[0]).append(output.body[1]).append(tail);
    if (head_.empty()) return true;
    pieces[count++] = Piece(head_);
    return stream_->Write(pieces, count);
  }
  for (std::string_view bytes : {std::string_view(head_), output.body[0], output.body[1]}) {
    if (!bytes.empty()) pieces[count++] = Piece(bytes);
  }
  if (output.file_size == 0) {
    if (!tail.empty()) pieces[count++] = Piece(tail);
    return stream_->Write(pieces, count);
  }
  if (count > 0 && !stream_->WriteMore(pieces, count)) return false;
  if (!stream_->SendFile(output.file, output.file_offset, output.file_size)) return false;
  if (tail.empty()) return true;
  pieces[0] = Piece(tail);
  return stream_->Write(pieces, 1);
}

}  // namespace cogi::cgi
