#include "server/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

#include "coroutine/scheduler.h"
#include "server/listener.h"
#include "server/real_calls.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// A TLS record carries at most 16 KiB; what is gathered fits one record with room for its frame.
constexpr size_t kRecord = 16 << 10;

std::string OpenSslError() {
  char text[256] = "unknown error";
  const unsigned long error = ERR_peek_last_error();
  if (error != 0) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return text;
}

int BioRead(BIO* bio, char* buffer, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  ssize_t got;
  do {
    got = Real().recv(fd, buffer, static_cast<size_t>(size), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
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

int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned int in_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11 - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

void TlsContext::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

TlsContext::TlsContext(const config::Tls& settings) : context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* context = context_.get();
  if (context == nullptr) throw StartError(Concat("TLS cannot be set up: ", OpenSslError()));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Of TLS 1.2 only what has forward secrecy and authenticated encryption.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets do it, without memory
  static constexpr unsigned char kSessionContext[] = "cogi";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, settings.certificate.c_str()) != 1)
    throw StartError(Concat("the certificate ", settings.certificate, " cannot be used: ",
                            OpenSslError(), "; it must be PEM, the leaf first"));
  if (SSL_CTX_use_PrivateKey_file(context, settings.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    throw StartError(Concat("the key ", settings.key, " cannot be used: ", OpenSslError(),
                            "; it must be PEM, without a passphrase, and belong to ",
                            settings.certificate));
}

void TlsStream::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context, CoroutineStream& raw)
    : raw_(raw), ssl_(SSL_new(context.get())) {
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
      return raw_.AwaitReadable();
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

bool TlsStream::Handshake(cgi::Deadline deadline, std::string* why) {
  SetReadDeadline(deadline);
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return true;
    if (AwaitWanted(result)) continue;
    const int error = errno;
    *why = error == EPROTO ? OpenSslError() : ErrnoText(error);
    return false;
  }
}

void TlsStream::AddVariables(cgi::FieldList& variables) const {
  variables.Add("SSL_PROTOCOL", SSL_get_version(ssl_.get()));
  variables.Add("SSL_CIPHER", SSL_get_cipher_name(ssl_.get()));
  const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) variables.Add("SSL_TLS_SNI", name);
}

ssize_t TlsStream::Read(void* buffer, size_t size) {
  for (;;) {
    ERR_clear_error();
    errno = 0;
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
    ERR_clear_error();
    errno = 0;
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

// Small pieces, such as a head and its body, share a record.
bool TlsStream::Write(iovec* pieces, int count) {
  std::string gathered;
  for (int piece = 0; piece < count; ++piece) {
    const auto* bytes = static_cast<const char*>(pieces[piece].iov_base);
    const size_t size = pieces[piece].iov_len;
    if (gathered.size() + size <= kRecord && count > 1) {
      gathered.append(bytes, size);
      continue;
    }
    if (!WriteAll(gathered.data(), gathered.size())) return false;
    gathered.clear();
    if (!WriteAll(bytes, size)) return false;
  }
  return WriteAll(gathered.data(), gathered.size());
}

bool TlsStream::SendFile(int fd, off_t offset, size_t size) {
  std::string piece(std::min(size, kRecord), '\0');
  while (size > 0) {
    const ssize_t got = Real().pread(fd, piece.data(), std::min(size, piece.size()), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      errno = EIO;  // unreadable, or shorter than was announced
      return false;
    }
    if (!WriteAll(piece.data(), static_cast<size_t>(got))) return false;
    offset += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool TlsStream::AwaitInput() { return SSL_has_pending(ssl_.get()) == 1 ? true : raw_.AwaitInput(); }

void TlsStream::ShutdownWrite() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  raw_.ShutdownWrite();
}

}  // namespace cogi::server
