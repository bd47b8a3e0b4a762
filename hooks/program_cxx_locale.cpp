#include "hooks/program_cxx_locale.h"

#include <clocale>
#include <locale>
#include <new>
#include <utility>

#include "hooks/program_libc.h"
#include "hooks/program_state.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// std::locale::global() of libstdc++, which is called like a function that returns a class: the
// place of the result comes first.
constinit real::RealCall<std::locale(const std::locale&)> real_global{"_ZNSt6locale6globalERKS_"};

// It sets libc's locale of the process as well, which is left alone.
std::locale SetGlobal(const std::locale& locale) {
  const SetLocaleIgnored ignored;
  return real_global(locale);
}

}  // namespace

struct Program::CxxLocale {
  std::locale other;  // of the program's and the process's the one that is not in place
};

void SwapCxxLocale(Program& program) noexcept {
  std::locale& other = program.cxx_locale->other;
  other = SetGlobal(other);
}

void ReleaseCxxLocale(Program& program) noexcept {
  if (program.cxx_locale == nullptr) return;
  SwapCxxLocale(program);
  const ServerScope scope;
  delete std::exchange(program.cxx_locale, nullptr);
}

// The definition of std::locale::global() that programs find first.
std::locale SetGlobalOfProgram(const std::locale& locale) __asm__("_ZNSt6locale6globalERKS_");
COGI_API std::locale SetGlobalOfProgram(const std::locale& locale) {
  Program* program = Program::Current();
  if (program == nullptr) return real_global(locale);
  if (program->cxx_locale == nullptr) {
    const ServerScope scope;
    program->cxx_locale = new Program::CxxLocale{std::locale()};
  }
  std::locale before = SetGlobal(locale);
  const std::string name = locale.name();
  if (name != "*") std::setlocale(LC_ALL, name.c_str());
  return before;
}

}  // namespace cogi::hooks
