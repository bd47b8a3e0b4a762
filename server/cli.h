// The command line of `cogi`.
#ifndef COGI_SERVER_CLI_H_
#define COGI_SERVER_CLI_H_

namespace cogi::server {

// Main() runs the command that `argv` names and returns the exit code: 0, 1 if it failed (the
// reason is on stderr), 2 for a command line that makes no sense.
[[nodiscard]] int Main(int argc, char** argv);

}  // namespace cogi::server

#endif  // COGI_SERVER_CLI_H_
