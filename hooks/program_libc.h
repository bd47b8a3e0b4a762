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

// SetLocaleIgnored makes setlocale() do nothing for a block: libstdc++ calls it where only the C++
// locale is to change.
class SetLocaleIgnored {
 public:
  SetLocaleIgnored() noexcept { ++depth_; }
  ~SetLocaleIgnored() { --depth_; }
  SetLocaleIgnored(const SetLocaleIgnored&) = delete;
  SetLocaleIgnored& operator=(const SetLocaleIgnored&) = delete;
  [[nodiscard]] static bool now() noexcept { return depth_ > 0; }

 private:
  static constinit thread_local int depth_;
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
