// TLS of the server's own connections, by OpenSSL. OpenSSL never waits here: its reads and writes
// are plain non-blocking system calls, and when it wants more the stream waits outside of it.
#ifndef COGI_SERVER_TLS_H_
#define COGI_SERVER_TLS_H_

#include <memory>
#include <string>

#include "cgi/byte_stream.h"
#include "cgi/field_list.h"
#include "config/settings.h"
#include "server/coroutine_stream.h"

// OpenSSL's SSL_CTX and SSL.
struct ssl_ctx_st;
struct ssl_st;

namespace cogi::server {

// TlsContext is what all connections of an https listener share: certificate, key, and the keys of
// session tickets. Made by the master before it starts the workers, so that a session can be
// resumed with any of them, and the private key need not be readable for their user.
class TlsContext {
 public:
  // Reads the files. Throws StartError with the file, the cause and the mend.
  explicit TlsContext(const config::Tls& settings);

  [[nodiscard]] ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// TlsStream is the decrypted side of a connection.
class TlsStream final : public cgi::ByteStream {
 public:
  // Both must outlive the stream. Throws std::bad_alloc.
  TlsStream(const TlsContext& context, CoroutineStream& raw);
  ~TlsStream() override;

  // Handshake() completes the handshake before `deadline`. False with a reason in `*why`. Yields.
  [[nodiscard]] bool Handshake(cgi::Deadline deadline, std::string* why);
  // AddVariables() adds SSL_PROTOCOL, SSL_CIPHER and SSL_TLS_SNI, as Apache names them.
  void AddVariables(cgi::FieldList& variables) const;

  ssize_t Read(void* buffer, size_t size) override;
  bool Write(iovec* pieces, int count) override;
  bool SendFile(int fd, off_t offset, size_t size) override;
  bool AwaitInput() override;
  void ShutdownWrite() override;
  void SetReadDeadline(cgi::Deadline deadline) override { raw_.SetReadDeadline(deadline); }
  void SetWriteTimeout(std::chrono::milliseconds idle) override { raw_.SetWriteTimeout(idle); }

 private:
  bool WriteAll(const char* bytes, size_t size);
  bool AwaitWanted(int result);

  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  CoroutineStream& raw_;
  std::unique_ptr<ssl_st, Free> ssl_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_TLS_H_
