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

// ReloadServer() sends HUP, or with `binary` the signal for an upgrade to the executable that lies
// in the server's place now. With `wait` it returns when that has ended: 0 if the new configuration
// or version serves, 1 with the reason if the old one goes on.
[[nodiscard]] int ReloadServer(const std::string& what, bool wait, bool binary);

}  // namespace cogi::server

#endif  // COGI_SERVER_CONTROL_H_
