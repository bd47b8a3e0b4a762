// The handlers that tell how the server does. Never yield but by what Response::Write() does.
#ifndef COGI_SERVER_STATUS_H_
#define COGI_SERVER_STATUS_H_

#include <memory>

#include "cgi/handler.h"
#include "server/native.h"

namespace cogi::server {

[[nodiscard]] std::unique_ptr<cgi::Handler> MakeHealth(const ServerView& view);
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeStatus(const ServerView& view);
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeMetrics(const ServerView& view);

}  // namespace cogi::server

#endif  // COGI_SERVER_STATUS_H_
