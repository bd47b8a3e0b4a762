// The parts of cogi.json that have a file of their own. Internal to config/.
#ifndef COGI_CONFIG_SECTIONS_H_
#define COGI_CONFIG_SECTIONS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "config/document.h"
#include "config/object.h"
#include "config/settings.h"

namespace cogi::config {

// Source: the document, and the folder that relative paths in it are taken from.
struct Source {
  const Document& document;
  std::filesystem::path folder;

  // Absolute() is `path` seen from the folder, normalised.
  [[nodiscard]] std::string Absolute(const std::string& path) const {
    return (folder / path).lexically_normal().string();
  }
};

[[nodiscard]] Listener ReadListener(const Source& source, const Node& node,
                                    const std::string& pointer);

// ReadTls() reads "tls" of a listener, and refuses it where the protocol has none.
void ReadTls(const Source& source, Object& object, Listener& listener);

// LacksCertificate() says what an https listener without a certificate needs: "" if nothing is
// missing.
[[nodiscard]] std::string LacksCertificate(const Listener& listener);

// LacksAllow() likewise says what a FastCGI or SCGI listener on all addresses needs.
[[nodiscard]] std::string LacksAllow(const Listener& listener);

// ReadRoute() reads a route that starts from its pool's coroutine, timeouts and limits.
[[nodiscard]] Route ReadRoute(const Source& source, const Node& node, const std::string& pointer,
                              const Pool& pool);

// ReadSelfCheck() reads "self_check" of a pool.
void ReadSelfCheck(const Source& source, Object& pool, std::vector<SelfCheck>& checks);

// ReadUpstream() reads "fastcgi" of a route.
void ReadUpstream(const Source& source, Object& route, Upstream& upstream);

// ReadEnvironment() reads an object of names and values of environment variables.
void ReadEnvironment(const Object& object, std::map<std::string, std::string>& environment);

// Scope: a route knows only those fields of a group that count there.
enum class Scope : uint8_t { kPool, kRoute };

// The groups of plain fields; each refuses unknown keys in its object.
void ReadCoroutines(Object& object, Scope scope, Coroutines& coroutines);
void ReadTimeouts(Object& object, Scope scope, Timeouts& timeouts);
void ReadLimits(Object& object, Scope scope, Limits& limits);
void ReadLog(const Source& source, Object& object, Log& log);

// ReadConfinement() reads "confine" of a pool that has its user and its log already.
// CheckConfined() refuses a route that could not be answered under it.
void ReadConfinement(const Source& source, Object& object, Pool& pool);
void CheckConfined(const Source& source, const Node& node, const std::string& pointer,
                   const Pool& pool, const Route& route);

void ReadCompression(Object& parent, Compression& compression);
// What a route says beside who answers: "headers", "compress", "auth", "error_pages".
void ReadRouteRules(const Source& source, Object& object, Route& route);

// ReadGroup() calls `read` for the object at `key`, if there is one.
template <typename Read>
void ReadGroup(Object& parent, std::string_view key, Read read) {
  if (const Node* node = parent.Find(key)) {
    Object object(parent.document(), *node, parent.PointerTo(key));
    read(object);
  }
}

// SplitAddress() takes "unix:PATH" or "HOST:PORT" apart; the parts that do not apply are left
// empty. Throws std::invalid_argument with what was expected.
struct Address {
  std::string unix_path;
  std::string host;
  uint16_t port = 0;
};
[[nodiscard]] Address SplitAddress(std::string_view text);

}  // namespace cogi::config

#endif  // COGI_CONFIG_SECTIONS_H_
