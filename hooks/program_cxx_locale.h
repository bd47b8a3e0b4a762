// The C++ locale of a program: std::locale::global() is its own, as setlocale() is. Its parts lie
// in the program's heap, so that nobody else may see it.
#ifndef COGI_HOOKS_PROGRAM_CXX_LOCALE_H_
#define COGI_HOOKS_PROGRAM_CXX_LOCALE_H_

#include "hooks/program.h"

namespace cogi::hooks {

// SwapCxxLocale() puts the program's in the place of the process's, and again back. For a program
// that has one (Program::cxx_locale). Allocates nothing.
void SwapCxxLocale(Program& program) noexcept;

// ReleaseCxxLocale() puts the process's back for good, at the program's end, while the blocks of
// the program are still there.
void ReleaseCxxLocale(Program& program) noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_PROGRAM_CXX_LOCALE_H_
