// A certificate for localhost, signed by itself, for `cogi serve --tls-dev`.
#ifndef COGI_SERVER_SELF_SIGNED_H_
#define COGI_SERVER_SELF_SIGNED_H_

struct ssl_ctx_st;

namespace cogi::server {

// UseSelfSigned() gives `context` the certificate, for localhost, 127.0.0.1 and ::1, and its key
// (P-256). They are made once in a process's life, so that a reload keeps them, and lie nowhere on
// the disk. Throws StartError.
void UseSelfSigned(ssl_ctx_st* context);

}  // namespace cogi::server

#endif  // COGI_SERVER_SELF_SIGNED_H_
