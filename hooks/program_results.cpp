// Calls of libc whose result the caller has to free: libc allocates it, but it is the program's.
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <cstdarg>

#include "coroutine/sanitizers.h"
#include "hooks/program_heap.h"
#include "hooks/real.h"

#if !COGI_SANITIZED

namespace cogi::hooks {
namespace {

using real::RealCall;
constinit RealCall<char*(const char*)> real_strdup{"strdup"};
constinit RealCall<char*(const char*, size_t)> real_strndup{"strndup"};
constinit RealCall<wchar_t*(const wchar_t*)> real_wcsdup{"wcsdup"};
constinit RealCall<ssize_t(char**, size_t*, FILE*)> real_getline{"getline"};
constinit RealCall<ssize_t(char**, size_t*, int, FILE*)> real_getdelim{"getdelim"};
constinit RealCall<int(char**, const char*, va_list)> real_vasprintf{"vasprintf"};
constinit RealCall<int(char**, int, const char*, va_list)> real_vasprintf_chk{"__vasprintf_chk"};

#define COGI_CALLER __builtin_extract_return_addr(__builtin_return_address(0))

template <class Text>
Text* Adopted(Text* text, const void* caller) {
  AdoptBlock(text, caller);
  return text;
}

// A block that was the program's before stays so over libc's realloc(); a new one becomes so.
template <class Read>
ssize_t AdoptLine(char** line, const void* caller, Read read) {
  const char* before = *line;
  const ssize_t got = read();
  if (before == nullptr) AdoptBlock(*line, caller);
  return got;
}

int Format(char** text, const char* format, va_list arguments, const void* caller) {
  const int size = real_vasprintf(text, format, arguments);
  if (size >= 0) AdoptBlock(*text, caller);
  return size;
}

int FormatChecked(char** text, int flag, const char* format, va_list arguments,
                  const void* caller) {
  const int size = real_vasprintf_chk(text, flag, format, arguments);
  if (size >= 0) AdoptBlock(*text, caller);
  return size;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API char* strdup(const char* text) noexcept { return Adopted(real_strdup(text), COGI_CALLER); }
COGI_API char* __strdup(const char* text) noexcept {
  return Adopted(real_strdup(text), COGI_CALLER);
}
COGI_API char* strndup(const char* text, size_t size) noexcept {
  return Adopted(real_strndup(text, size), COGI_CALLER);
}
COGI_API char* __strndup(const char* text, size_t size) noexcept {
  return Adopted(real_strndup(text, size), COGI_CALLER);
}
COGI_API wchar_t* wcsdup(const wchar_t* text) noexcept {
  return Adopted(real_wcsdup(text), COGI_CALLER);
}

COGI_API ssize_t getline(char** line, size_t* size, FILE* file) {
  return AdoptLine(line, COGI_CALLER, [&] { return real_getline(line, size, file); });
}
COGI_API ssize_t getdelim(char** line, size_t* size, int end, FILE* file) {
  return AdoptLine(line, COGI_CALLER, [&] { return real_getdelim(line, size, end, file); });
}
COGI_API ssize_t __getdelim(char** line, size_t* size, int end, FILE* file) {
  return AdoptLine(line, COGI_CALLER, [&] { return real_getdelim(line, size, end, file); });
}

COGI_API int vasprintf(char** text, const char* format, va_list arguments) noexcept {
  return Format(text, format, arguments, COGI_CALLER);
}
COGI_API int asprintf(char** text, const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  const int size = Format(text, format, arguments, COGI_CALLER);
  va_end(arguments);
  return size;
}
COGI_API int __vasprintf_chk(char** text, int flag, const char* format,
                             va_list arguments) noexcept {
  return FormatChecked(text, flag, format, arguments, COGI_CALLER);
}
COGI_API int __asprintf_chk(char** text, int flag, const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  const int size = FormatChecked(text, flag, format, arguments, COGI_CALLER);
  va_end(arguments);
  return size;
}

}  // extern "C"

#endif  // !COGI_SANITIZED
