#include "server/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <utility>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/file_read.h"
#include "server/real_calls.h"
#include "server/text.h"
#include "server/tls_variables.h"

namespace cogi::server {
namespace {

// A TLS record carries at most 16 KiB; what is gathered fits one record with room for its frame.
constexpr size_t kRecord = 16 << 10;
// What is still read of a client that spoke plain HTTP, and how long.
constexpr size_t kPlainBytes = 64 << 10;
constexpr std::chrono::milliseconds kPlainLinger{1000};

// How often OpenSSL may still read from the socket in the call under way. It takes what is there,
// up to a record of the largest size, and one that carries data ends the call; a peer whose records
// say nothing (key updates) would keep the thread in it for as long as they come. Less than 0: the
// call ended for that.
constexpr int kReadsOfACall = 4;
thread_local int t_reads_left = 0;

void BeginCall() {
  ERR_clear_error();
  errno = 0;
  t_reads_left = kReadsOfACall;
}

int BioRead(BIO* bio, char* buffer, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  if (--t_reads_left < 0 || coroutine::KnownDrained(fd, EPOLLIN)) {
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t got;
  do {
    got = Real().recv(fd, buffer, static_cast<size_t>(size), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0 && got < size) coroutine::MarkShortRead(fd);  // nothing is left
  if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

int BioWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  iovec piece{const_cast<char*>(bytes), static_cast<size_t>(size)};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  ssize_t sent;
  do {
    sent = Real().sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

long BioControl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

// The BIO between OpenSSL and a socket: libc's own calls, past the hooks, which would park here.
BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "cogi socket");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

}  // namespace

void TlsStream::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context, CoroutineStream& raw)
    : context_(context), raw_(raw), ssl_(SSL_new(context.get())) {
  BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(SocketMethod());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(raw.fd())));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

TlsStream::~TlsStream() {
  ERR_clear_error();
  // Says that the end is one. A client that does not read it is not waited for.
  if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

// Waits for what OpenSSL wants before it can go on. False with errno: it failed, or that took too
// long.
bool TlsStream::AwaitWanted(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return t_reads_left < 0 ? raw_.LetOthersRun() : raw_.AwaitReadable();
    case SSL_ERROR_WANT_WRITE:
      return raw_.AwaitWritable();
    case SSL_ERROR_SYSCALL:
      if (errno == 0) errno = ECONNRESET;
      return false;
    default:
      errno = EPROTO;
      return false;
  }
}

// What the client has sent besides is read and dropped for a moment: closing over unread bytes
// would reset the connection before the answer is read.
void TlsStream::AnswerPlainHttp() {
  static constexpr char kAnswer[] =
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"
      "Connection: close\r\n\r\nThis port speaks HTTPS only.\n";
  iovec piece{const_cast<char*>(kAnswer), sizeof kAnswer - 1};
  if (!raw_.Write(&piece, 1)) return;
  raw_.ShutdownWrite();
  raw_.SetReadDeadline(coroutine::After(kPlainLinger));
  std::string dropped(4096, '\0');
  for (size_t left = kPlainBytes; left >= dropped.size(); left -= dropped.size())
    if (raw_.Read(dropped.data(), dropped.size()) <= 0) return;
}

bool TlsStream::Handshake(cgi::Deadline deadline, std::string* why) {
  SetReadDeadline(deadline);
  for (;;) {
    BeginCall();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return true;
    if (AwaitWanted(result)) continue;
    const int error = errno;
    const bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
    *why = error == EPROTO ? OpenSslError() : ErrnoText(error);
    if (plain) AnswerPlainHttp();
    return false;
  }
}

void TlsStream::AddVariables(cgi::FieldList& variables) const {
  AddTlsVariables(ssl_.get(), variables);
}

ssize_t TlsStream::Read(void* buffer, size_t size) {
  for (;;) {
    BeginCall();
    const int got = SSL_read(ssl_.get(), buffer, static_cast<int>(std::min<size_t>(size, INT_MAX)));
    if (got > 0) {
      coroutine::ChargeCall();
      raw_.CountRead(static_cast<size_t>(got));
      return got;
    }
    if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN) return 0;
    if (!AwaitWanted(got)) return -1;
  }
}

bool TlsStream::WriteAll(const char* bytes, size_t size) {
  while (size > 0) {
    BeginCall();
    const int sent = SSL_write(ssl_.get(), bytes, static_cast<int>(std::min(size, kRecord)));
    if (sent > 0) {
      bytes += sent;
      size -= static_cast<size_t>(sent);
      raw_.CountWritten(static_cast<size_t>(sent));
      coroutine::ChargeCall();
      continue;
    }
    if (!AwaitWanted(sent)) return false;
  }
  return true;
}

// Small pieces, such as a head and its body or the file behind it, share a record.
bool TlsStream::Gather(const iovec* pieces, int count) {
  for (int piece = 0; piece < count; ++piece) {
    const auto* bytes = static_cast<const char*>(pieces[piece].iov_base);
    const size_t size = pieces[piece].iov_len;
    if (gathered_.size() + size <= kRecord) {
      gathered_.append(bytes, size);
      continue;
    }
    if (!WriteGathered() || !WriteAll(bytes, size)) return false;
  }
  return true;
}

bool TlsStream::WriteGathered() {
  const std::string bytes = std::exchange(gathered_, {});
  return WriteAll(bytes.data(), bytes.size());
}

bool TlsStream::Write(iovec* pieces, int count) {
  if (count == 1 && gathered_.empty())
    return WriteAll(static_cast<const char*>(pieces->iov_base), pieces->iov_len);
  return Gather(pieces, count) && WriteGathered();
}

bool TlsStream::WriteMore(iovec* pieces, int count) { return Gather(pieces, count); }

bool TlsStream::SendFile(int fd, off_t offset, size_t size) {
  const std::string before = std::exchange(gathered_, {});
  const auto record =
      std::make_unique_for_overwrite<char[]>(std::min(before.size() + size, kRecord));
  size_t filled = before.copy(record.get(), before.size());
  while (size > 0) {
    const size_t wanted = std::min(size, kRecord - filled);
    const ssize_t got = hooks::ReadAt(fd, record.get() + filled, wanted, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 && wanted > 0) {
      errno = EIO;  // unreadable, or shorter than was announced
      return false;
    }
    if (!WriteAll(record.get(), filled + static_cast<size_t>(got))) return false;
    filled = 0;
    offset += got;
    size -= static_cast<size_t>(got);
  }
  return WriteAll(record.get(), filled);
}

bool TlsStream::AwaitInput() { return SSL_has_pending(ssl_.get()) == 1 ? true : raw_.AwaitInput(); }

void TlsStream::ShutdownWrite() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  raw_.ShutdownWrite();
}

}  // namespace cogi::server
