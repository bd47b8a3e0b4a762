// exec(3) and its kin in a program: see ReplaceProgram(). In a forked child, and without a program,
// they are libc's.
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <vector>

#include "hooks/descriptors.h"
#include "hooks/lock_parking.h"
#include "hooks/process_spawn.h"
#include "hooks/program.h"
#include "hooks/real.h"

extern char** environ;

namespace cogi::hooks {
namespace {

using Words = char* const*;
constinit real::RealCall<int(const char*, Words, Words)> real_execve{"execve"};
constinit real::RealCall<int(const char*, Words)> real_execv{"execv"};
constinit real::RealCall<int(const char*, Words)> real_execvp{"execvp"};
constinit real::RealCall<int(const char*, Words, Words)> real_execvpe{"execvpe"};

// The program that is to be replaced; null: this is a process of its own, or no program's code.
Program* Replaced() { return LockHooked() ? Program::Current() : nullptr; }

int Exec(const char* path, Words arguments, Words environment) {
  if (Program* program = Replaced())
    return ReplaceProgram(*program, path, false, arguments, environment);
  return real_execve(path, arguments, environment);
}

int ExecAlongPath(const char* file, Words arguments, Words environment) {
  if (Program* program = Replaced())
    return ReplaceProgram(*program, file, true, arguments, environment);
  return real_execvpe(file, arguments, environment);
}

// The arguments of a call that lists them, ended by null; `environment` is what follows that, where
// it is asked for.
class List {
 public:
  List(const char* first, va_list more, bool with_environment) {
    words_.push_back(const_cast<char*>(first));
    while (words_.back() != nullptr) words_.push_back(va_arg(more, char*));
    if (with_environment) environment_ = va_arg(more, Words);
  }
  [[nodiscard]] Words words() const { return words_.data(); }
  [[nodiscard]] Words environment() const { return environment_; }

 private:
  std::vector<char*> words_;
  Words environment_ = environ;
};

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int CogiExecve(const char* path, Words arguments, Words environment) __asm__("execve");
COGI_API int CogiExecv(const char* path, Words arguments) __asm__("execv");
COGI_API int CogiExecvp(const char* file, Words arguments) __asm__("execvp");
COGI_API int CogiExecvpe(const char* file, Words arguments, Words environment) __asm__("execvpe");
COGI_API int CogiExecl(const char* path, const char* argument, ...) __asm__("execl");
COGI_API int CogiExeclp(const char* file, const char* argument, ...) __asm__("execlp");
COGI_API int CogiExecle(const char* path, const char* argument, ...) __asm__("execle");

int CogiExecve(const char* path, Words arguments, Words environment) {
  return Exec(path, arguments, environment);
}

int CogiExecv(const char* path, Words arguments) {
  return Replaced() != nullptr ? Exec(path, arguments, environ) : real_execv(path, arguments);
}

int CogiExecvp(const char* file, Words arguments) {
  return Replaced() != nullptr ? ExecAlongPath(file, arguments, environ)
                               : real_execvp(file, arguments);
}

int CogiExecvpe(const char* file, Words arguments, Words environment) {
  return ExecAlongPath(file, arguments, environment);
}

int CogiExecl(const char* path, const char* argument, ...) {
  va_list more;
  va_start(more, argument);
  const List list(argument, more, false);
  va_end(more);
  return Exec(path, list.words(), list.environment());
}

int CogiExeclp(const char* file, const char* argument, ...) {
  va_list more;
  va_start(more, argument);
  const List list(argument, more, false);
  va_end(more);
  return ExecAlongPath(file, list.words(), list.environment());
}

int CogiExecle(const char* path, const char* argument, ...) {
  va_list more;
  va_start(more, argument);
  const List list(argument, more, true);
  va_end(more);
  return Exec(path, list.words(), list.environment());
}

}  // extern "C"
