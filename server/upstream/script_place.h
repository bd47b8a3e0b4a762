// PlaceScript: what an application is told of where a request's script lies. Never yields.
#ifndef COGI_SERVER_UPSTREAM_SCRIPT_PLACE_H_
#define COGI_SERVER_UPSTREAM_SCRIPT_PLACE_H_

#include <string>

#include "cgi/request.h"
#include "config/settings.h"
#include "server/document_root.h"

namespace cogi::server {

// PlaceScript() sets the variables of a request to `route`, whose form is "fastcgi". With a `root`
// (null: the route has none) its path must name a file there that ends in the route's suffix (or
// like its index, if it has none), so that no upload becomes a script; false if it does not.
// Without one, what a web server in front said stays; else SCRIPT_NAME is the route's path and
// `executable` ("": unknown) SCRIPT_FILENAME.
[[nodiscard]] bool PlaceScript(cgi::Request& request, const config::Route& route,
                               const DocumentRoot* root, const std::string& executable);

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_SCRIPT_PLACE_H_
