// `cogi lint`: what of a module cannot be kept to one request, by symbol and with the mend, and
// what a trial request used.
#ifndef COGI_SERVER_PROGRAM_LINT_H_
#define COGI_SERVER_PROGRAM_LINT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cogi::server {

// One thing that cannot be isolated.
struct LintFinding {
  std::string kind;    // "thread", "blocks", "shared", "worker", "exec", "library", "libfcgi",
                       // "unique", "path"
  std::string symbol;  // the function, or the library
  std::string what;    // what happens
  std::string mend;    // what to do about it
};

struct LintReport {
  std::vector<LintFinding> findings;
  uint64_t static_bytes = 0;  // writable static data, of which every request has its own
  bool accepts_fcgi = false;  // it is a libfcgi program: it imports an accept function
};

// LintModule() reads the module at `path` and the libraries that it brings along, which it loads.
// False with `*error` if it cannot be loaded.
[[nodiscard]] bool LintModule(const std::string& path, LintReport* report, std::string* error);

// RunLint() does `cogi lint MODULE [...]`; `args` is what follows "lint". Returns 0 if nothing was
// found, 1 if something was, 2 if the module cannot be loaded or the command line makes no sense.
// Not for coroutines.
[[nodiscard]] int RunLint(const std::vector<std::string>& args);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_LINT_H_
