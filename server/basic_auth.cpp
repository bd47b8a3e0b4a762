#include "server/basic_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>

#include "cgi/field_list.h"
#include "coroutine/offload.h"
#include "server/error_page.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// Right passwords that are remembered; and how many are checked at once: each check costs
// milliseconds of CPU time, and a place on a helper thread.
constexpr size_t kMostKnown = 1024;
constexpr int kMostChecks = 64;
constexpr size_t kMostCredentials = 1024;

bool IsSlowHash(std::string_view hash) {
  for (const char* prefix : {"$y$", "$gy$", "$7$", "$2a$", "$2b$", "$2y$", "$6$", "$5$"})
    if (hash.starts_with(prefix)) return true;
  return false;
}

std::map<std::string, std::string> ReadUsers(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw StartError(Concat("auth: ", file, " cannot be read: ", ErrnoText(errno)));
  std::map<std::string, std::string> hashes;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    const std::string hash = colon == std::string::npos ? "" : line.substr(colon + 1);
    if (colon == 0 || !IsSlowHash(hash))
      throw StartError(
          Concat("auth: ", file, ":", number,
                 ": expected NAME:HASH with a hash of yescrypt, scrypt, bcrypt or SHA-2; "
                 "htpasswd -B or -5 makes them"));
    hashes[line.substr(0, colon)] = hash;
  }
  if (hashes.empty()) throw StartError(Concat("auth: ", file, " names nobody"));
  return hashes;
}

// Whether crypt(3) makes `hash` of the password. Takes long by design.
bool Matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* made = crypt_r(password.c_str(), hash.c_str(), data.get());
  return made != nullptr && hash == made;
}

// Strict base64 (RFC 4648 4). False: it is none.
bool DecodeBase64(std::string_view text, std::string& out) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return false;
  uint32_t bits = 0;
  int count = 0;
  for (const char character : text) {
    const size_t value = kAlphabet.find(character);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return true;
}

}  // namespace

bool DecodeCredentials(std::string_view field, std::string& user, std::string& password) {
  constexpr std::string_view kScheme = "Basic ";
  if (field.size() > kMostCredentials || field.size() < kScheme.size() ||
      !cgi::EqualIgnoringCase(field.substr(0, kScheme.size()), kScheme))
    return false;
  field.remove_prefix(kScheme.size());
  while (field.starts_with(' ')) field.remove_prefix(1);
  std::string decoded;
  if (!DecodeBase64(field, decoded)) return false;
  const size_t colon = decoded.find(':');
  const bool control = std::any_of(decoded.begin(), decoded.end(),
                                   [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (colon == std::string::npos || control) return false;
  user = decoded.substr(0, colon);
  password = decoded.substr(colon + 1);
  return true;
}

BasicAuth::BasicAuth(const config::BasicAuth& settings, WorkerCounters& counters)
    : counters_(counters),
      challenge_(Concat("Basic realm=\"", settings.realm, "\", charset=\"UTF-8\"")),
      hashes_(ReadUsers(settings.users)) {
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1)
    throw StartError("auth: no random numbers can be had");
}

BasicAuth::Digest BasicAuth::DigestOf(const std::string& user, const std::string& password) const {
  const std::string both = Concat(user, ":", password);
  Digest digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(both.data()), both.size(), digest.data(), &size);
  return digest;
}

// A name that nobody has takes as long as one that somebody has: which names there are is not told.
bool BasicAuth::IsRight(const std::string& user, const std::string& password) {
  const Digest digest = DigestOf(user, password);
  if (known_.contains(digest)) return true;
  const auto found = hashes_.find(user);
  const std::string& hash = found == hashes_.end() ? hashes_.begin()->second : found->second;
  bool matches = false;
  {
    struct Checking {
      int& count;
      explicit Checking(int& of) : count(of) { ++count; }
      ~Checking() { --count; }
    } const checking(checking_);
    matches = coroutine::Offload([&] { return Matches(password, hash); });
  }
  if (!matches || found == hashes_.end()) return false;
  if (known_.size() >= kMostKnown) known_.clear();
  known_.insert(digest);
  return true;
}

bool BasicAuth::Admit(cgi::Request& request, cgi::Response& response) {
  std::string user;
  std::string password;
  const std::string_view field = request.Header("Authorization");
  const bool shown = DecodeCredentials(field, user, password);
  if (shown && checking_ >= kMostChecks) {
    Count(counters_.overloaded);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "503: request ", request.id(), ": ", kMostChecks,
                " passwords are being checked already");
    AnswerError(request, response, 503);
    return false;
  }
  if (shown && IsRight(user, password)) {
    OPENSSL_cleanse(password.data(), password.size());
    request.SetVariable("REMOTE_USER", user);
    request.SetVariable("AUTH_TYPE", "Basic");
    return true;
  }
  if (shown) {
    static LogLimiter limiter;
    std::string who;
    EscapeForLog(who, user, 64);
    limiter.Log(Level::kWarning, "401: request ", request.id(), ": wrong name or password for \"",
                who, "\"");
  } else if (!field.empty()) {
    static LogLimiter limiter;
    limiter.Log(Level::kInfo, "401: request ", request.id(),
                ": its Authorization field is no name and password (Basic)");
  }
  AnswerError(request, response, 401);
  response.SetHeader("WWW-Authenticate", challenge_);
  return false;
}

}  // namespace cogi::server
