// What libc keeps once per process and a program expects to have to itself: the locale here, and
// the rest that Program::LibcState lists.
#ifndef COGI_HOOKS_PROGRAM_LIBC_H_
#define COGI_HOOKS_PROGRAM_LIBC_H_

#include <string>

#include "hooks/program.h"

namespace cogi::hooks {

struct Program::LibcState {
  std::string locale_name;  // what setlocale() returned last
};

// ReleaseLibcState() ends it, after the program's last instruction and before Leave().
void ReleaseLibcState(Program& program) noexcept;

// InstallTerminateHandler() makes std::terminate() in a program end that program
// (program_exit.cpp).
void InstallTerminateHandler() noexcept;

// InstallCrashHandler() makes a crash of a program end that program (program_crash.cpp).
void InstallCrashHandler() noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_LIBC_H_
