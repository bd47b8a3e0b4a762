// TlsContext: what all connections of an https listener share: certificates, keys, whose client
// certificates are accepted, and the keys of session tickets. Made by the master before it starts
// the workers, so that a session can be resumed with any of them, and the private keys need not be
// readable for their user. Immutable; never yields.
#ifndef COGI_SERVER_TLS_CONTEXT_H_
#define COGI_SERVER_TLS_CONTEXT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

// OpenSSL's SSL_CTX and SSL.
struct ssl_ctx_st;
struct ssl_st;

namespace cogi::server {

class TlsContext {
 public:
  // Reads the files. Throws StartError with the file, the cause and the mend.
  explicit TlsContext(const config::Tls& settings);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // get() is the context that connections begin with; a client that names a host gets that of the
  // host's certificate in the course of the handshake.
  [[nodiscard]] ssl_ctx_st* get() const { return contexts_.front().get(); }

  // Covers() is true if `host` (with or without a port) would be answered with the certificate that
  // this connection was made with: a request for any other one was misdirected (RFC 9110 15.5.20).
  [[nodiscard]] bool Covers(const ssl_st* connection, std::string_view host) const;
  [[nodiscard]] bool has_several() const { return contexts_.size() > 1; }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  using Owned = std::unique_ptr<ssl_ctx_st, Free>;

  [[nodiscard]] ssl_ctx_st* Find(const std::string& host) const;
  static int SelectCertificate(ssl_st* connection, int* alert, void* self);

  std::vector<Owned> contexts_;  // one per certificate, not empty
};

// OpenSslError() is the oldest error in OpenSSL's queue, as text; the queue is cleared.
[[nodiscard]] std::string OpenSslError();

}  // namespace cogi::server

#endif  // COGI_SERVER_TLS_CONTEXT_H_
