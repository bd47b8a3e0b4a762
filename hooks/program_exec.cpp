// exec(3) and its kin in a program: see ReplaceProgram(). In a forked child, and without a program,
// they are libc's.
#include <alloca.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>

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

// Calls `exec` with the arguments of a call that lists them, ended by null, and with the
// environment: what follows them where `with_environment`, else environ. They lie on the stack, as
// libc's do: in a vforked child the heap is its parent's, and in a forked one another thread may
// have locked it.
template <typename Function>
int WithListed(const char* first, va_list more, bool with_environment, Function exec) {
  size_t count = 1;  // the null that ends them
  va_list counted;
  va_copy(counted, more);
  for (const char* word = first; word != nullptr; word = va_arg(counted, char*)) ++count;
  va_end(counted);

  auto** words = static_cast<char**>(alloca(count * sizeof(char*)));
  words[0] = const_cast<char*>(first);
  for (size_t i = 1; i < count; ++i) words[i] = va_arg(more, char*);
  return exec(words, with_environment ? va_arg(more, Words) : environ);
}

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
  const int result = WithListed(argument, more, false, [path](Words words, Words environment) {
    return Exec(path, words, environment);
  });
  va_end(more);
  return result;
}

int CogiExeclp(const char* file, const char* argument, ...) {
  va_list more;
  va_start(more, argument);
  const int result = WithListed(argument, more, false, [file](Words words, Words environment) {
    return ExecAlongPath(file, words, environment);
  });
  va_end(more);
  return result;
}

int CogiExecle(const char* path, const char* argument, ...) {
  va_list more;
  va_start(more, argument);
  const int result = WithListed(argument, more, true, [path](Words words, Words environment) {
    return Exec(path, words, environment);
  });
  va_end(more);
  return result;
}

}  // extern "C"
