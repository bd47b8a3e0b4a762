// ChildProcess: a process started for a request, in a process group of its own, with pipes to its
// descriptors 0 to 2.
#ifndef COGI_SERVER_EXEC_CHILD_PROCESS_H_
#define COGI_SERVER_EXEC_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "coroutine/deadline.h"
#include "server/program/program_handler.h"
#include "server/real_calls.h"

namespace cogi::server {

class ChildProcess {
 public:
  ChildProcess() = default;
  // Ends what still runs: see EndLater().
  ~ChildProcess() { EndLater(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Start() runs `path` in `directory` within `limits`, with a pipe for its input if it
  // `has_input`, else without any. Returns 0 or an errno: of exec (ENOENT, EACCES, ENOEXEC, E2BIG,
  // ...), or of what it takes to get there. Never yields; takes as long as an exec.
  int Start(const std::string& path, const std::string& directory, const ResourceLimits& limits,
            bool has_input, char** arguments, char** environment);

  // The server's ends of the pipes, non-blocking.
  [[nodiscard]] int input() const { return input_.get(); }
  [[nodiscard]] int output() const { return output_.get(); }
  [[nodiscard]] int errors() const { return errors_.get(); }
  void CloseInput() { Close(input_); }
  void CloseOutput() { Close(output_); }
  void CloseErrors() { Close(errors_); }

  // ended_fd() makes a descriptor that becomes readable when the process ends; -1: there is none to
  // be had. Most processes need none: they end with their output.
  [[nodiscard]] int ended_fd();
  // Reap() takes the status of a process that has ended, as wait(2) gives it. False: it runs.
  bool Reap(int* status);
  // ReapWithin() waits for the end for that long, or until the coroutine is cancelled. May yield.
  bool ReapWithin(coroutine::Clock::duration time, int* status);
  // EndLater() leaves a process that still runs to a coroutine of its own, which ends its group
  // (SIGTERM, then SIGKILL) and reaps it. `grace` is how long it may go on undisturbed before.
  void EndLater(coroutine::Clock::duration grace = {});

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  static void Close(UniqueFd& fd);

  pid_t pid_ = -1;  // -1: none, or reaped; up to then the number is nobody else's
  UniqueFd pidfd_;
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd errors_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_EXEC_CHILD_PROCESS_H_
