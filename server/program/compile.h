// `cogi cc`: makes an unmodified CGI or libfcgi program into a module that runs in process.
#ifndef COGI_SERVER_PROGRAM_COMPILE_H_
#define COGI_SERVER_PROGRAM_COMPILE_H_

#include <string>
#include <vector>

namespace cogi::server {

// RunCompile() does `cogi cc SOURCES... -o NAME.cgi [flags]`. `args` is what follows "cc". Sources
// are compiled by suffix with $CC (cc) or $CXX (c++), linked as a module, and every flag, object
// and library is passed on. Returns the compiler's exit code when it fails, 2 for a bad command
// line, 0 when NAME.cgi is complete (it replaces an old one in one step). Errors are the compiler's
// own, on stderr. Not for coroutines: it waits for the compiler.
[[nodiscard]] int RunCompile(const std::vector<std::string>& args);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROGRAM_COMPILE_H_
