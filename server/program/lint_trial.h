// A trial request of a module, for `cogi lint`: runs its main() once, as the server would, and
// measures what it used.
#ifndef COGI_SERVER_PROGRAM_LINT_TRIAL_H_
#define COGI_SERVER_PROGRAM_LINT_TRIAL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hooks/program.h"

namespace cogi::server {

struct TrialRequest {
  std::string query;
  std::string body;  // not empty: the method is POST
  // Further variables of its environment, which win over the usual ones.
  std::vector<std::pair<std::string, std::string>> environment;
  // When it is ended, whether it waits or computes. Where it cannot be (a loop within a library)
  // the process ends with a message and exit code 2.
  std::chrono::milliseconds limit{10'000};
};

struct Trial {
  hooks::ProgramResult result;      // how it ended, and its heap
  size_t stack = 0;                 // bytes of stack that it reached, to the byte; 0: not measured
  uint64_t output = 0;              // bytes of output
  std::string header_error;         // what is wrong with its CGI header; "": nothing
  std::vector<std::string> errors;  // the lines of its stderr
};

// The stack that a trial runs on, bytes.
inline constexpr size_t kTrialStack = size_t{8} << 20;

// RunTrial() runs the module at `path`. False with `*error` if it cannot be loaded. It has a
// scheduler of its own: call it where there is none.
[[nodiscard]] bool RunTrial(const std::string& path, const TrialRequest& request, Trial* trial,
                            std::string* error);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LINT_TRIAL_H_
