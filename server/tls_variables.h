// The meta-variables of a TLS connection, by the names that Apache's mod_ssl gives them.
#ifndef COGI_SERVER_TLS_VARIABLES_H_
#define COGI_SERVER_TLS_VARIABLES_H_

#include "cgi/field_list.h"

struct ssl_st;

namespace cogi::server {

// AddTlsVariables() adds SSL_PROTOCOL, SSL_CIPHER, SSL_CIPHER_USEKEYSIZE, SSL_CIPHER_ALGKEYSIZE,
// SSL_SESSION_RESUMED, SSL_TLS_SNI and SSL_CLIENT_VERIFY (NONE or SUCCESS); and if the client
// showed a certificate SSL_CLIENT_M_VERSION, _M_SERIAL, _V_START, _V_END, _V_REMAIN (days), _S_DN,
// _I_DN (RFC 2253), _S_DN_x and _I_DN_x for x one of CN, O, OU, C, ST, L, Email, and
// SSL_CLIENT_SAN_DNS_n, _SAN_Email_n. `connection` has completed its handshake. Never yields.
void AddTlsVariables(const ssl_st* connection, cgi::FieldList& variables);

}  // namespace cogi::server

#endif  // COGI_SERVER_TLS_VARIABLES_H_
