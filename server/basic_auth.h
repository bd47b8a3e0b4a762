// BasicAuth: who may ask of a route, by name and password (RFC 7617) against a file of NAME:HASH
// lines, as htpasswd makes it. Hashes are those of crypt(3) that are made to be slow: yescrypt
// ($y$), gost-yescrypt ($gy$), scrypt ($7$), bcrypt ($2a$, $2b$, $2y$: htpasswd -B), SHA-512 ($6$:
// htpasswd -5) and SHA-256 ($5$: htpasswd -2). Others ($apr1$, {SHA}, $1$, DES, plain text) are
// refused when the server starts. One per route and worker.
#ifndef COGI_SERVER_BASIC_AUTH_H_
#define COGI_SERVER_BASIC_AUTH_H_

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "cgi/request.h"
#include "cgi/response.h"
#include "config/settings.h"
#include "server/scoreboard.h"

namespace cogi::server {

class BasicAuth {
 public:
  // Reads the file; later changes are taken up by a reload. Throws StartError with file and line.
  BasicAuth(const config::BasicAuth& settings, WorkerCounters& counters);

  // Admit() returns true, with REMOTE_USER and AUTH_TYPE set, if the request shows a name and its
  // password. Else it has answered: 401, or 503 if too many passwords are being checked. A
  // password is checked on a helper thread, and known again by a keyed digest. Yields.
  [[nodiscard]] bool Admit(cgi::Request& request, cgi::Response& response);

 private:
  using Digest = std::array<unsigned char, 32>;

  [[nodiscard]] bool IsRight(const std::string& user, const std::string& password);
  [[nodiscard]] Digest DigestOf(const std::string& user, const std::string& password) const;

  WorkerCounters& counters_;
  std::string challenge_;
  std::map<std::string, std::string> hashes_;  // by name
  Digest key_{};                               // of the digests: random, of this process
  std::set<Digest> known_;                     // names with their right passwords
  int checking_ = 0;
};

// DecodeCredentials() takes the value of an Authorization field apart: scheme "Basic", base64 of
// NAME:PASSWORD. False if it is none.
[[nodiscard]] bool DecodeCredentials(std::string_view field, std::string& user,
                                     std::string& password);

}  // namespace cogi::server

#endif  // COGI_SERVER_BASIC_AUTH_H_
