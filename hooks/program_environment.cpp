// The environment of a program. Its getenv() and secure_getenv() are libc's: they read `environ`,
// which is swapped. What changes it is here, because libc remembers the array that it made last,
// whosever that was.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "hooks/libco_environment.h"
#include "hooks/program.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

bool ValidName(const char* name) {
  if (name != nullptr && *name != '\0' && std::strchr(name, '=') == nullptr) return true;
  errno = EINVAL;
  return false;
}

char** Find(const char* name, size_t size) {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
    if (std::strncmp(*entry, name, size) == 0 && (*entry)[size] == '=') return entry;
  return nullptr;
}

constinit real::RealCall<int(const char*, const char*, int)> real_setenv{"setenv"};
constinit real::RealCall<int(const char*)> real_unsetenv{"unsetenv"};
constinit real::RealCall<int(char*)> real_putenv{"putenv"};
constinit real::RealCall<int()> real_clearenv{"clearenv"};

// The running coroutine's own variable, if co_set_env_list() names it.
PrivateVariable* Listed(const char* name) noexcept try {
  return FindPrivateVariable(name);
} catch (const std::bad_alloc&) {
  return nullptr;
}

int SetPrivate(PrivateVariable& own, const char* name, const char* value, bool overwrite) noexcept
    try {
  if (!overwrite && getenv(name) != nullptr) return 0;
  own.value = value;
  own.touched = true;
  return 0;
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return -1;
}

}  // namespace

char* Program::Remember(const char* name, size_t name_size, const char* value) noexcept try {
  const size_t value_size = std::strlen(value) + 1;
  own_variables_.push_back(std::make_unique_for_overwrite<char[]>(name_size + 1 + value_size));
  char* text = own_variables_.back().get();
  std::memcpy(text, name, name_size);
  text[name_size] = '=';
  std::memcpy(text + name_size + 1, value, value_size);
  return text;
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return nullptr;
}

// The array may be the server's, or one that the program assigned to `environ`: it is copied before
// it grows.
bool Program::AppendEnv(char* assignment) noexcept try {
  if (own_environment_.empty() || environ != own_environment_.data()) {
    std::vector<char*> copy;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
      copy.push_back(*entry);
    copy.push_back(nullptr);
    own_environment_.swap(copy);
  } else {
    // unsetenv() moves entries down in place.
    const auto end = std::find(own_environment_.begin(), own_environment_.end(), nullptr);
    own_environment_.erase(end + 1, own_environment_.end());
  }
  own_environment_.back() = assignment;
  own_environment_.push_back(nullptr);
  environ = own_environment_.data();
  return true;
} catch (const std::bad_alloc&) {
  errno = ENOMEM;
  return false;
}

int Program::SetEnv(const char* name, const char* value, bool overwrite) noexcept {
  if (!ValidName(name)) return -1;
  const size_t size = std::strlen(name);
  char** entry = Find(name, size);
  if (entry != nullptr && !overwrite) return 0;
  char* text = Remember(name, size, value);
  if (text == nullptr) return -1;
  if (entry == nullptr) return AppendEnv(text) ? 0 : -1;
  *entry = text;
  return 0;
}

int Program::UnsetEnv(const char* name) noexcept {
  if (!ValidName(name)) return -1;
  const size_t size = std::strlen(name);
  while (char** entry = Find(name, size)) {
    do entry[0] = entry[1];
    while (*entry++ != nullptr);
  }
  return 0;
}

int Program::PutEnv(char* assignment) noexcept {
  const char* equals = std::strchr(assignment, '=');
  if (equals == nullptr) return UnsetEnv(assignment);
  if (char** entry = Find(assignment, static_cast<size_t>(equals - assignment))) {
    *entry = assignment;
    return 0;
  }
  return AppendEnv(assignment) ? 0 : -1;
}

}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int setenv(const char* name, const char* value, int overwrite) noexcept {
  if (Program* program = Program::Current()) return program->SetEnv(name, value, overwrite != 0);
  if (PrivateVariable* own = Listed(name)) return SetPrivate(*own, name, value, overwrite != 0);
  return real_setenv(name, value, overwrite);
}

COGI_API int unsetenv(const char* name) noexcept {
  if (Program* program = Program::Current()) return program->UnsetEnv(name);
  if (PrivateVariable* own = Listed(name)) {
    *own = {.touched = true, .value = {}};
    return 0;
  }
  return real_unsetenv(name);
}

COGI_API int putenv(char* assignment) noexcept {
  if (Program* program = Program::Current()) return program->PutEnv(assignment);
  return real_putenv(assignment);
}

COGI_API int clearenv() noexcept {
  if (Program::Current() == nullptr) return real_clearenv();
  environ = nullptr;
  return 0;
}

}  // extern "C"
