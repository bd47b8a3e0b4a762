// StartProcess: starts a FastCGI application as the specification says (2.2): with a listening
// socket on descriptor 0, in a session and process group of its own.
//
// Each process has a socket of its own, so whoever connects to it knows who answers. The socket has
// no name in the file system by the time the process runs: nobody else can connect to it, and a
// worker that dies leaves no file behind.
#ifndef COGI_SERVER_UPSTREAM_PROCESS_H_
#define COGI_SERVER_UPSTREAM_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "server/real_calls.h"
#include "server/upstream/link.h"

namespace cogi::server {

struct ProcessCommand {
  std::vector<std::string> words;        // the executable, absolute, and its arguments
  std::vector<std::string> environment;  // NAME=VALUE
  std::string directory;                 // where it starts
};

struct SpawnedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;   // readable when it has ended
  UniqueFd errors;  // what it writes to descriptors 1 and 2; non-blocking
  UniqueFd socket;  // its listening socket as a file (O_PATH): see AddressOf()
};

// StartProcess() returns 0, or an errno of exec or of what it takes to get there. The process is
// sent SIGTERM if this one dies. Never yields; takes as long as an exec.
[[nodiscard]] int StartProcess(const ProcessCommand& command, SpawnedProcess* process);

// AddressOf() is where to connect to the process.
[[nodiscard]] UpstreamAddress AddressOf(const SpawnedProcess& process);

// SignalGroup() sends a signal to the process and its children. ReapProcess() takes the status of
// one that has ended, as wait(2) gives it; false: it runs. Never yield.
void SignalGroup(const SpawnedProcess& process, int signal);
[[nodiscard]] bool ReapProcess(const SpawnedProcess& process, int* status);

// DescribeStatus() is "exit status 3" or "signal 9 (Killed)".
[[nodiscard]] std::string DescribeStatus(int status);

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_PROCESS_H_
