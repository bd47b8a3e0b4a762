// In-process programs as handlers: an unmodified CGI program, made into a module by `cogi cc`, runs
// its main() in the request's coroutine, as a fresh process every time (see README.md here).
//
// All of it belongs to the one scheduler thread of a worker.
#ifndef COGI_SERVER_PROGRAM_PROGRAM_HANDLER_H_
#define COGI_SERVER_PROGRAM_PROGRAM_HANDLER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cgi/handler.h"
#include "coroutine/coroutine.h"

namespace cogi::server {

// What a line for the error log is.
enum class ProgramLine : uint8_t {
  kStderr,   // the program wrote it to its stderr
  kStatus,   // it exited with a status other than 0
  kFailure,  // it failed: the client was answered with an error, or the connection was cut
};

// Resource limits of a process by exec (setrlimit(2)), soft and hard. 0: the server's own.
struct ResourceLimits {
  uint64_t memory = 0;       // RLIMIT_AS, bytes
  uint64_t cpu_seconds = 0;  // RLIMIT_CPU
  uint64_t files = 0;        // RLIMIT_NOFILE
  uint64_t file_size = 0;    // RLIMIT_FSIZE, bytes
};

struct ProgramOptions {
  // The stack that main() runs on. stack_size 0 and kShared: the caller's own coroutine, which
  // costs nothing. Otherwise a coroutine of that mode and size (bytes) is spawned for each request.
  coroutine::StackMode stack_mode = coroutine::StackMode::kShared;
  size_t stack_size = 0;

  size_t max_running = 0;  // requests at once; more wait for a place until their deadline. 0: no
                           // limit. Of a libfcgi program: instances
  // An instance of a libfcgi program that has waited so long for a request ends, the last one
  // apart.
  std::chrono::milliseconds max_idle{60'000};
  size_t max_heap = 0;  // bytes that a request may have allocated; more: malloc fails. 0: no limit
  uint64_t max_output = 0;        // bytes of output; more: the response is cut. 0: no limit
  ResourceLimits process_limits;  // by exec only

  // Where relative paths start. "": the directory of the program's file (RFC 3875 7.2).
  std::string working_directory;
  // Variables that the program's environment has besides the request's meta-variables, which win.
  // PATH is set to the usual value unless it stands here.
  std::vector<std::pair<std::string, std::string>> environment;

  // Takes one line, without its end, for the error log. Empty: stderr of the process. Must not
  // yield for long.
  std::function<void(const cgi::Request&, std::string_view line, ProgramLine kind)> log;

  // Takes one line of the program at `path` that belongs to no request: what an accept loop says
  // between two. Empty: stderr of the process.
  std::function<void(const std::string& path, std::string_view line, ProgramLine kind)> log_program;

  // Called after a program has crashed (SIGSEGV and the like): memory of the process may be
  // damaged, so the worker should finish its other requests and be replaced. Empty: nothing.
  std::function<void()> on_crash;

  // Answers with an error page; called only if nothing of the response was sent. Empty: a plain
  // text page.
  std::function<void(cgi::Request&, cgi::Response&, int status)> error_page;

  // Serves a local redirect (RFC 3875 6.2.2: Location with a path and nothing else) after the
  // program has ended; the response is as new. Empty: 500.
  std::function<void(cgi::Request&, cgi::Response&, std::string_view location)> local_redirect;
};

// IsProgramModule() tells whether the file at `path` is a module that `cogi cc` made, by its ELF
// note. Reads the file's headers; loads nothing, runs nothing. False if it cannot be read, which
// `*could_read` tells apart. The answer is cheap, but not free: cache it per file version (device,
// inode, size, mtime). May yield, and is not ended by a cancel.
[[nodiscard]] bool IsProgramModule(const std::string& path, bool* could_read = nullptr);

// MakeProgramHandler() loads the module at `path` and returns the handler that runs its main() for
// each request; null with `*error` (path, cause, mend) if it cannot be loaded. The handler looks at
// the file again at most once a second, and loads a changed file as a new module: requests that
// are running finish with theirs. Destroy it after its last Serve() has returned.
[[nodiscard]] std::unique_ptr<cgi::Handler> MakeProgramHandler(const std::string& path,
                                                               ProgramOptions options,
                                                               std::string* error);

// ProgramLibrary keeps the handlers of a directory tree's programs by path, with the same options
// (working_directory apart: it is each program's own directory unless set).
class ProgramLibrary {
 public:
  explicit ProgramLibrary(ProgramOptions options);
  ~ProgramLibrary();
  ProgramLibrary(const ProgramLibrary&) = delete;
  ProgramLibrary& operator=(const ProgramLibrary&) = delete;

  // Find() returns the handler of the module at `path` (absolute), loading it at first use; null
  // with `*error` if it cannot be loaded. Valid as long as the library. May yield: those who ask
  // while another loads it wait, and get the same handler.
  [[nodiscard]] cgi::Handler* Find(const std::string& path, std::string* error);
  // End() is cgi::Handler::End() for all of them. May yield.
  void End(cgi::Deadline deadline);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_PROGRAM_HANDLER_H_
