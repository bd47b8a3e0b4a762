#include "server/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cgi/http_target.h"
#include "server/listener.h"
#include "server/self_signed.h"
#include "server/text.h"

namespace cogi::server {
namespace {

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

// What holds for every connection, whatever its certificate.
void SetUp(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Of TLS 1.2 only what has forward secrecy and authenticated encryption.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_read_ahead(context, 1);  // a record by one read instead of two
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets do it, without memory
  static constexpr unsigned char kSessionContext[] = "cogi";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
}

void UseCertificate(SSL_CTX* context, const config::Tls::Certificate& certificate) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate.file.c_str()) != 1)
    throw StartError(Concat("the certificate ", certificate.file, " cannot be used: ",
                            OpenSslError(), "; it must be PEM, the leaf first"));
  if (SSL_CTX_use_PrivateKey_file(context, certificate.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    throw StartError(Concat("the key ", certificate.key, " cannot be used: ", OpenSslError(),
                            "; it must be PEM, without a passphrase, and belong to ",
                            certificate.file));
}

void AskForClients(SSL_CTX* context, const config::Tls& settings) {
  if (settings.client == config::Tls::Client::kNone) return;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(settings.client_ca.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(context, settings.client_ca.c_str()) != 1)
    throw StartError(Concat("the certificates of client_ca, ", settings.client_ca,
                            ", cannot be used: ", OpenSslError(), "; they must be PEM"));
  SSL_CTX_set_client_CA_list(context, names);  // takes them
  const bool required = settings.client == config::Tls::Client::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
}

}  // namespace

std::string OpenSslError() {
  char text[256] = "unknown error";
  const unsigned long error = ERR_peek_error();
  if (error != 0) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return text;
}

void TlsContext::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

TlsContext::TlsContext(const config::Tls& settings) {
  const size_t count = settings.self_signed ? 1 : settings.certificates.size();
  for (size_t index = 0; index < count; ++index) {
    Owned context(SSL_CTX_new(TLS_server_method()));
    if (context == nullptr) throw StartError(Concat("TLS cannot be set up: ", OpenSslError()));
    SetUp(context.get());
    if (settings.self_signed) {
      UseSelfSigned(context.get());
    } else {
      UseCertificate(context.get(), settings.certificates[index]);
    }
    AskForClients(context.get(), settings);
    contexts_.push_back(std::move(context));
  }
  if (contexts_.empty()) throw StartError("an https listener has no certificate");
  if (!has_several()) return;
  SSL_CTX_set_tlsext_servername_callback(get(), SelectCertificate);
  SSL_CTX_set_tlsext_servername_arg(get(), this);
}

// The first whose certificate has the name; the first of all if none has.
SSL_CTX* TlsContext::Find(const std::string& host) const {
  for (const Owned& context : contexts_) {
    X509* leaf = SSL_CTX_get0_certificate(context.get());
    if (X509_check_host(leaf, host.data(), host.size(), 0, nullptr) == 1) return context.get();
  }
  return get();
}

// OpenSSL copies certificate and key; session tickets stay those of the first context, so a client
// resumes its session with whatever name. That is no hole: all names of a listener ask the same of
// their clients.
int TlsContext::SelectCertificate(SSL* connection, int*, void* self) {
  const char* name = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(connection, static_cast<const TlsContext*>(self)->Find(name));
  return SSL_TLSEXT_ERR_OK;
}

bool TlsContext::Covers(const SSL* connection, std::string_view host) const {
  if (!has_several() || host.empty()) return true;
  // A client that named no host was given the first certificate for want of a better one.
  if (SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name) == nullptr) return true;
  return Find(std::string(cgi::HostOf(host))) == SSL_get_SSL_CTX(connection);
}

}  // namespace cogi::server
