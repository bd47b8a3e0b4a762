// `cogi stop` and `cogi reload`: commands to a server that runs, found by its pid file. Never
// yields.
#ifndef COGI_SERVER_CONTROL_H_
#define COGI_SERVER_CONTROL_H_

#include <string>

namespace cogi::server {

// StopServer() sends TERM to the server that `what` names (a configuration that has a "pid_file",
// or a pid file) and waits for its end. Returns the exit code: 0 when it has ended, 1 with a
// message.
[[nodiscard]] int StopServer(const std::string& what);

// ReloadServer() sends HUP. With `wait` it returns when the reload has ended: 0 if the new
// configuration serves, 1 with the reason if the old one goes on.
[[nodiscard]] int ReloadServer(const std::string& what, bool wait);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONTROL_H_
