// A real `cogi serve` for a test: started with a free port or a unix socket, stopped at the end,
// and checked for what it leaves behind.
#ifndef COGI_TESTS_SERVER_SERVER_PROCESS_H_
#define COGI_TESTS_SERVER_SERVER_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/server/scratch.h"

namespace cogi::server {

// WaitUntil() asks `done` again and again, at most `seconds`. Returns whether it became true.
bool WaitUntil(const std::function<bool()>& done, int seconds = 20);

// ChildrenOf() is the pids of a process's children that are no zombies.
std::vector<pid_t> ChildrenOf(pid_t pid);

class ServerProcess {
 public:
  // Starts `cogi` with `arguments`; its output goes to a file. `handed_over` is a descriptor that
  // it gets as number 3, or -1.
  explicit ServerProcess(const std::vector<std::string>& arguments, int handed_over = -1);
  // Kills what is left.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // WaitServing() waits until `workers` workers run and the server says that it serves. False if it
  // ended instead.
  bool WaitServing(size_t workers = 1);
  // port() is the TCP port that the output names for the `nth` listener of a protocol.
  [[nodiscard]] int port(size_t nth = 0, const std::string& protocol = "http") const;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::vector<pid_t> workers() const { return ChildrenOf(pid_); }
  [[nodiscard]] std::string output() const { return ReadFile(output_path_); }
  bool WaitOutput(const std::string& text, int seconds = 20) const;

  // Signal() sends a signal to the master. End() waits for its end: the exit code, or 128 + the
  // signal that ended it, or -1 if it does not end.
  void Signal(int signal) const;
  int End(int seconds = 20);
  int Stop(int signal) {
    Signal(signal);
    return End();
  }

 private:
  Scratch folder_;
  std::string output_path_;
  pid_t pid_ = -1;
};

// OutputOf() is what a shell command prints to both of its outputs within twenty seconds.
std::string OutputOf(const std::string& command);

// RunCogi() runs a command that ends by itself. Its exit code; `*output` has what it printed.
int RunCogi(const std::vector<std::string>& arguments, std::string* output);

}  // namespace cogi::server

#endif  // COGI_TESTS_SERVER_SERVER_PROCESS_H_
