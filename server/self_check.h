// The self-check of new workers: the requests of a pool's "self_check", asked inside the worker
// before it accepts its first connection. They go the way of a client's, through the HTTP front end
// and the routes to the handlers, and only the socket is missing.
#ifndef COGI_SERVER_SELF_CHECK_H_
#define COGI_SERVER_SELF_CHECK_H_

#include <functional>
#include <string>
#include <string_view>

#include "cgi/handler.h"
#include "cgi/limits.h"
#include "config/settings.h"

namespace cogi::server {

// CheckSelf() asks `handler` one request after the other; `asking` is told each one before. Returns
// "", or which was not answered as it should, and how. In a coroutine. May yield.
[[nodiscard]] std::string CheckSelf(const config::Pool& pool, const cgi::Limits& limits,
                                    cgi::Handler& handler,
                                    const std::function<void(std::string_view what)>& asking);

}  // namespace cogi::server

#endif  // COGI_SERVER_SELF_CHECK_H_
