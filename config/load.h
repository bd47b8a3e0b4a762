// Load: cogi.json -> Settings, or a refusal that names file, line, key, what was expected and the
// nearest known key. Reads files; never yields, logs or looks at the environment.
#ifndef COGI_CONFIG_LOAD_H_
#define COGI_CONFIG_LOAD_H_

#include <string>
#include <string_view>
#include <vector>

#include "config/error.h"
#include "config/settings.h"

namespace cogi::config {

// Load() reads the configuration file `path`. Relative paths in it are taken from its folder.
// Throws Error; never anything else but std::bad_alloc.
[[nodiscard]] Settings Load(const std::string& path);

// Parse() is Load() for a text that is at hand: `file` is its name in messages, and its folder the
// one that relative paths are taken from.
[[nodiscard]] Settings Parse(std::string_view text, const std::string& file);

// ForDirectory() is what `cogi serve DIRECTORY` stands for: one pool, one route of the form kSite.
// `listen` are addresses as ParseListener() takes them; empty: "http:127.0.0.1:8080". `workers`: 0
// for one per CPU. `tls_dev`: https listeners have a certificate of their own making, and the
// default is "https:127.0.0.1:8443". Throws Error (file "command line").
[[nodiscard]] Settings ForDirectory(const std::string& directory,
                                    const std::vector<std::string>& listen, uint32_t workers,
                                    bool tls_dev = false);

// ParseListener() understands "PROTOCOL:HOST:PORT" and "PROTOCOL:unix:PATH", PROTOCOL being
// fastcgi, http, https or scgi and HOST a numeric address, IPv6 in brackets. Throws
// std::invalid_argument with what was expected.
[[nodiscard]] Listener ParseListener(std::string_view address);
// FormatListener() writes it back.
[[nodiscard]] std::string FormatListener(const Listener& listener);

// SeenFromInside() is `pool` as its workers see it within their chroot: paths without its
// directory. Without a chroot it is the same.
[[nodiscard]] Pool SeenFromInside(Pool pool);

// RouteTable() is what `cogi check` prints: per pool its listeners, workers, and routes in the
// order in which they are tried, with their forms. Lines end in "\n".
[[nodiscard]] std::string RouteTable(const Settings& settings);

}  // namespace cogi::config

#endif  // COGI_CONFIG_LOAD_H_
