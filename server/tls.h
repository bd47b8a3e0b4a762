// TLS of the server's own connections, by OpenSSL. OpenSSL never waits here: its reads and writes
// are plain non-blocking system calls, and when it wants more the stream waits outside of it.
#ifndef COGI_SERVER_TLS_H_
#define COGI_SERVER_TLS_H_

#include <memory>
#include <string>

#include "cgi/byte_stream.h"
#include "cgi/field_list.h"
#include "server/coroutine_stream.h"
#include "server/tls_context.h"

namespace cogi::server {

// TlsStream is the decrypted side of a connection.
class TlsStream final : public cgi::ByteStream {
 public:
  // Both must outlive the stream. Throws std::bad_alloc.
  TlsStream(const TlsContext& context, CoroutineStream& raw);
  ~TlsStream() override;

  // Handshake() completes the handshake before `deadline`. False with a reason in `*why`; a client
  // that spoke plain HTTP has been told so, in plain text. Yields.
  [[nodiscard]] bool Handshake(cgi::Deadline deadline, std::string* why);
  // AddVariables() adds what tls_variables.h says.
  void AddVariables(cgi::FieldList& variables) const;
  // Covers() is TlsContext's, for this connection.
  [[nodiscard]] bool Covers(std::string_view host) const {
    return context_.Covers(ssl_.get(), host);
  }

  ssize_t Read(void* buffer, size_t size) override;
  bool Write(iovec* pieces, int count) override;
  bool WriteMore(iovec* pieces, int count) override;
  bool SendFile(int fd, off_t offset, size_t size) override;
  bool AwaitInput() override;
  void ShutdownWrite() override;
  void SetReadDeadline(cgi::Deadline deadline) override { raw_.SetReadDeadline(deadline); }
  void SetWriteTimeout(std::chrono::milliseconds idle) override { raw_.SetWriteTimeout(idle); }

 private:
  bool Gather(const iovec* pieces, int count);
  bool WriteGathered();
  bool WriteAll(const char* bytes, size_t size);
  bool AwaitWanted(int result);
  void AnswerPlainHttp();

  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  const TlsContext& context_;
  CoroutineStream& raw_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string gathered_;  // less than a record, that the next write begins with
};

}  // namespace cogi::server

#endif  // COGI_SERVER_TLS_H_
