// CGI by exec: any executable or script as a CGI program of its own process (RFC 3875). Its stdin,
// stdout and stderr are pumped at the same time; its process group ends with the request.
//
// Starting costs the same whatever the worker's size (spawn.h).
#ifndef COGI_SERVER_EXEC_EXEC_HANDLER_H_
#define COGI_SERVER_EXEC_EXEC_HANDLER_H_

#include <memory>
#include <string>

#include "cgi/handler.h"
#include "server/program/program_handler.h"

namespace cogi::server {

// MakeExecHandler() returns the handler that runs the executable at `path` (absolute) for each
// request. `options` must outlive it; of them the stack and the heap do not count, and neither does
// max_running. The environment is the request's meta-variables, those of `options` and PATH, and
// nothing of the worker's; the working directory is the program's own unless set; descriptors above
// 2 are closed, signals as at boot.
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeExecHandler(const std::string& path,
                                                            const ProgramOptions& options);

}  // namespace cogi::server

#endif  // COGI_SERVER_EXEC_EXEC_HANDLER_H_
