// UpstreamHandler: the form "fastcgi" of a route: requests are answered by FastCGI applications,
// those that somebody else runs (php-fpm) or processes of this worker's own (process_pool.h). May
// yield.
//
// What goes wrong is answered 502, 503 or 504 and logged with the reason, unless the answer has
// begun, which is then cut. A request that got no byte of an answer is sent once more, to another
// application, if its method is idempotent or the connection took no byte of it, and if what was
// sent of its body is still at hand.
#ifndef COGI_SERVER_UPSTREAM_UPSTREAM_HANDLER_H_
#define COGI_SERVER_UPSTREAM_UPSTREAM_HANDLER_H_

#include <memory>
#include <string>

#include "cgi/handler.h"
#include "config/settings.h"
#include "server/program_runner.h"

namespace cogi::server {

// MakeUpstreamHandler() makes the handler of `route`, which must outlive it; processes that always
// run are started. Null with `*error` if it cannot be had.
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeUpstreamHandler(const config::Route& route,
                                                                LocalRedirect redirect,
                                                                std::string* error);

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_UPSTREAM_HANDLER_H_
