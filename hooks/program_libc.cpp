#include "hooks/program_libc.h"

#include <locale.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hooks/real.h"

namespace cogi::hooks {

namespace {

constinit real::RealCall<char*(int, const char*)> real_setlocale{"setlocale"};

constexpr struct {
  int category;
  const char* name;
} kCategories[] = {
    {LC_CTYPE, "LC_CTYPE"},
    {LC_NUMERIC, "LC_NUMERIC"},
    {LC_TIME, "LC_TIME"},
    {LC_COLLATE, "LC_COLLATE"},
    {LC_MONETARY, "LC_MONETARY"},
    {LC_MESSAGES, "LC_MESSAGES"},
    {LC_PAPER, "LC_PAPER"},
    {LC_NAME, "LC_NAME"},
    {LC_ADDRESS, "LC_ADDRESS"},
    {LC_TELEPHONE, "LC_TELEPHONE"},
    {LC_MEASUREMENT, "LC_MEASUREMENT"},
    {LC_IDENTIFICATION, "LC_IDENTIFICATION"},
};

const char* NameOf(locale_t locale, int category) {
  return locale == nullptr ? "C" : locale->__names[category];
}

std::string NameOfAll(locale_t locale) {
  bool same = true;
  std::string all;
  for (const auto& [category, name] : kCategories) {
    same = same && std::strcmp(NameOf(locale, category), NameOf(locale, LC_CTYPE)) == 0;
    all.append(all.empty() ? "" : ";").append(name).append("=").append(NameOf(locale, category));
  }
  return same ? NameOf(locale, LC_CTYPE) : all;
}

// setlocale() of a program is a locale of its coroutine's thread, changed at every switch.
char* SetProgramLocale(Program& program, int category, const char* name) {
  if (category != LC_ALL &&
      std::none_of(std::begin(kCategories), std::end(kCategories),
                   [&](const auto& known) { return known.category == category; }))
    return nullptr;
  if (name != nullptr) {
    locale_t base = program.locale != nullptr ? duplocale(program.locale)
                                              : newlocale(LC_ALL_MASK, "C", nullptr);
    if (base == nullptr) return nullptr;
    const int mask = category == LC_ALL ? LC_ALL_MASK : 1 << category;
    locale_t made = newlocale(mask, name, base);
    if (made == nullptr) {
      freelocale(base);
      return nullptr;
    }
    uselocale(made);
    if (program.locale != nullptr) freelocale(program.locale);
    program.locale = made;
  }
  if (program.libc_state == nullptr) program.libc_state = std::make_unique<Program::LibcState>();
  std::string& result = program.libc_state->locale_name;
  result = category == LC_ALL ? NameOfAll(program.locale) : NameOf(program.locale, category);
  return result.data();
}

}  // namespace

constinit thread_local int SetLocaleIgnored::depth_ = 0;

void ReleaseLibcState(Program& program) noexcept {
  if (program.locale != nullptr) {
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(program.locale);
    program.locale = nullptr;
  }
  program.libc_state.reset();
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" COGI_API char* setlocale(int category, const char* name) noexcept {
  if (SetLocaleIgnored::now()) return nullptr;
  if (Program* program = Program::Current()) {
    ServerScope scope;  // the name that is returned outlives the call
    return SetProgramLocale(*program, category, name);
  }
  return real_setlocale(category, name);
}
