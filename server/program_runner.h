// ProgramRunner: runs the program that a request's path names: sets the meta-variables that say
// where it lies, and picks the way to run it: in process if `cogi cc` made it, else by exec. May
// yield.
#ifndef COGI_SERVER_PROGRAM_RUNNER_H_
#define COGI_SERVER_PROGRAM_RUNNER_H_

#include <sys/stat.h>

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "config/settings.h"
#include "server/program/program_handler.h"
#include "server/runner.h"

namespace cogi::server {

// Where a request's program is. All parts are absolute.
struct ProgramPlace {
  std::string script_name;      // its path as the client asks for it
  std::string script_filename;  // its file
  std::string path_info;        // what follows script_name in the path; "" or "/..."
  std::string document_root;
};

// Answers a local redirect (RFC 3875 6.2.2) of `request` to `location`.
using LocalRedirect =
    std::function<void(cgi::Request& request, cgi::Response& response, std::string_view location)>;

class ProgramRunner {
 public:
  ProgramRunner(Runner& runner, const config::Pool& pool, LocalRedirect redirect);

  // Run() answers with the program at `place`, whose file has `status`. Not executable: 403.
  void Run(cgi::Request& request, cgi::Response& response, const ProgramPlace& place,
           const struct stat& status);

  // Load() loads the module at `path` now. Returns "" or why it cannot be loaded.
  [[nodiscard]] std::string Load(const std::string& path);

  // End() as cgi::Handler::End(). May yield.
  void End(cgi::Deadline deadline) { library_.End(deadline); }

 private:
  [[nodiscard]] bool IsModule(const std::string& path, const struct stat& status);

  // What is known of a version of a file.
  struct Known {
    dev_t device;
    ino_t inode;
    off_t size;
    timespec modified;
    bool is_module;
  };

  Runner& runner_;
  const ProgramOptions options_;
  ProgramLibrary library_;
  std::unordered_map<std::string, Known> known_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_RUNNER_H_
