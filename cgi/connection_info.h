// ConnectionInfo: what the server knows of a connection before its first byte. Meta-variables are
// made from it (REMOTE_ADDR, SERVER_PORT, HTTPS, ...).
#ifndef COGI_CGI_CONNECTION_INFO_H_
#define COGI_CGI_CONNECTION_INFO_H_

#include <cstdint>
#include <string>

namespace cogi::cgi {

class FieldList;

struct ConnectionInfo {
  // Numeric addresses without brackets; over a unix socket the remote one is "unix:" and the ports
  // are 0 (SERVER_PORT is then 80 or, with tls, 443).
  std::string remote_address;
  std::string server_address;
  uint16_t remote_port = 0;
  uint16_t server_port = 0;
  // The connection came by TLS: HTTPS=on, REQUEST_SCHEME=https.
  bool tls = false;
  // SERVER_SOFTWARE, and the Server field of HTTP answers. Must outlive the connection. "":
  // neither.
  const char* server_software = "cogi";
  // More meta-variables for every request of the connection (SSL_PROTOCOL, SSL_CLIENT_S_DN, ...).
  // Null: none. Must outlive the connection.
  const FieldList* variables = nullptr;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_CONNECTION_INFO_H_
