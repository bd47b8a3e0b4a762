// Wide characters on the FILEs of a program. libc's cookie streams (program_stdio.h) have no wide
// half: putwc() on one crashes. Here each wide character is converted by the
// program's locale and goes the way of the bytes; orientation is not kept, so that both kinds of
// calls work on one stream. Everybody else's FILEs are libc's.
#include <stdio.h>
#include <stdio_ext.h>
#include <wchar.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hooks/program.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

using real::RealCall;
constinit RealCall<wint_t(wchar_t, FILE*)> real_fputwc{"fputwc"};
constinit RealCall<wint_t(wchar_t, FILE*)> real_fputwc_unlocked{"fputwc_unlocked"};
constinit RealCall<int(const wchar_t*, FILE*)> real_fputws{"fputws"};
constinit RealCall<wint_t(FILE*)> real_fgetwc{"fgetwc"};
constinit RealCall<wint_t(FILE*)> real_fgetwc_unlocked{"fgetwc_unlocked"};
constinit RealCall<wchar_t*(wchar_t*, int, FILE*)> real_fgetws{"fgetws"};
constinit RealCall<wint_t(wint_t, FILE*)> real_ungetwc{"ungetwc"};
constinit RealCall<int(FILE*, int)> real_fwide{"fwide"};
constinit RealCall<int(FILE*, const wchar_t*, va_list)> real_vfwprintf{"vfwprintf"};

// libc marks a stream that has no wide half by an address that faults.
bool HasNoWideHalf(const FILE* file) {
  const auto wide = reinterpret_cast<intptr_t>(file->_wide_data);
  return (wide == -1 || wide == 0) && Program::Current() != nullptr;
}

wint_t PutWide(wchar_t character, FILE* file) {
  char bytes[MB_LEN_MAX];
  mbstate_t state{};
  const size_t size = wcrtomb(bytes, character, &state);
  if (size == static_cast<size_t>(-1)) return WEOF;  // EILSEQ
  return fwrite(bytes, 1, size, file) == size ? static_cast<wint_t>(character) : WEOF;
}

wint_t GetWide(FILE* file) {
  mbstate_t state{};
  for (int byte; (byte = getc(file)) != EOF;) {
    const char character = static_cast<char>(byte);
    wchar_t wide = 0;
    const size_t used = mbrtowc(&wide, &character, 1, &state);
    if (used == static_cast<size_t>(-1)) return WEOF;  // EILSEQ
    if (used != static_cast<size_t>(-2)) return static_cast<wint_t>(wide);
  }
  return WEOF;
}

wint_t UngetWide(wint_t character, FILE* file) {
  if (character == WEOF) return WEOF;
  char bytes[MB_LEN_MAX];
  mbstate_t state{};
  size_t size = wcrtomb(bytes, static_cast<wchar_t>(character), &state);
  if (size == static_cast<size_t>(-1)) return WEOF;
  while (size > 0)
    if (ungetc(static_cast<unsigned char>(bytes[--size]), file) == EOF) return WEOF;
  return character;
}

int PutWideText(const wchar_t* text, FILE* file) {
  for (; *text != L'\0'; ++text)
    if (PutWide(*text, file) == WEOF) return EOF;
  return 1;
}

wchar_t* GetWideLine(wchar_t* line, int size, FILE* file) {
  int got = 0;
  while (got + 1 < size) {
    const wint_t next = GetWide(file);
    if (next == WEOF) break;
    line[got++] = static_cast<wchar_t>(next);
    if (next == L'\n') break;
  }
  if (got == 0) return nullptr;
  line[got] = L'\0';
  return line;
}

// Prints into memory first.
int PrintWide(FILE* file, const wchar_t* format, va_list arguments) {
  wchar_t* text = nullptr;
  size_t size = 0;
  FILE* memory = open_wmemstream(&text, &size);
  if (memory == nullptr) return -1;
  const int printed = real_vfwprintf(memory, format, arguments);
  fclose(memory);
  const int put = printed < 0 ? EOF : PutWideText(text, file);
  std::free(text);
  return put < 0 ? -1 : printed;
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API wint_t fputwc(wchar_t character, FILE* file) {
  return HasNoWideHalf(file) ? PutWide(character, file) : real_fputwc(character, file);
}
COGI_API wint_t putwc(wchar_t character, FILE* file) { return fputwc(character, file); }
COGI_API wint_t putwchar(wchar_t character) { return fputwc(character, stdout); }
COGI_API wint_t fputwc_unlocked(wchar_t character, FILE* file) {
  return HasNoWideHalf(file) ? PutWide(character, file) : real_fputwc_unlocked(character, file);
}
COGI_API wint_t putwc_unlocked(wchar_t character, FILE* file) {
  return fputwc_unlocked(character, file);
}
COGI_API wint_t putwchar_unlocked(wchar_t character) { return fputwc_unlocked(character, stdout); }
COGI_API int fputws(const wchar_t* text, FILE* file) {
  return HasNoWideHalf(file) ? PutWideText(text, file) : real_fputws(text, file);
}
COGI_API int fputws_unlocked(const wchar_t* text, FILE* file) { return fputws(text, file); }

COGI_API wint_t fgetwc(FILE* file) {
  return HasNoWideHalf(file) ? GetWide(file) : real_fgetwc(file);
}
COGI_API wint_t getwc(FILE* file) { return fgetwc(file); }
COGI_API wint_t getwchar() { return fgetwc(stdin); }
COGI_API wint_t fgetwc_unlocked(FILE* file) {
  return HasNoWideHalf(file) ? GetWide(file) : real_fgetwc_unlocked(file);
}
COGI_API wint_t getwc_unlocked(FILE* file) { return fgetwc_unlocked(file); }
COGI_API wint_t getwchar_unlocked() { return fgetwc_unlocked(stdin); }
COGI_API wchar_t* fgetws(wchar_t* line, int size, FILE* file) {
  return HasNoWideHalf(file) ? GetWideLine(line, size, file) : real_fgetws(line, size, file);
}
COGI_API wchar_t* fgetws_unlocked(wchar_t* line, int size, FILE* file) {
  return fgetws(line, size, file);
}
COGI_API wint_t ungetwc(wint_t character, FILE* file) {
  return HasNoWideHalf(file) ? UngetWide(character, file) : real_ungetwc(character, file);
}

COGI_API int fwide(FILE* file, int mode) noexcept {
  return HasNoWideHalf(file) ? mode : real_fwide(file, mode);
}

COGI_API int vfwprintf(FILE* file, const wchar_t* format, va_list arguments) {
  return HasNoWideHalf(file) ? PrintWide(file, format, arguments)
                             : real_vfwprintf(file, format, arguments);
}
COGI_API int vwprintf(const wchar_t* format, va_list arguments) {
  return vfwprintf(stdout, format, arguments);
}
COGI_API int __vfwprintf_chk(FILE* file, int, const wchar_t* format, va_list arguments) {
  return vfwprintf(file, format, arguments);
}
COGI_API int __vwprintf_chk(int, const wchar_t* format, va_list arguments) {
  return vfwprintf(stdout, format, arguments);
}

#define COGI_PRINT(file, format)                              \
  va_list arguments;                                          \
  va_start(arguments, format);                                \
  const int printed = vfwprintf((file), (format), arguments); \
  va_end(arguments);                                          \
  return printed

COGI_API int fwprintf(FILE* file, const wchar_t* format, ...) { COGI_PRINT(file, format); }
COGI_API int wprintf(const wchar_t* format, ...) { COGI_PRINT(stdout, format); }
COGI_API int __fwprintf_chk(FILE* file, int, const wchar_t* format, ...) {
  COGI_PRINT(file, format);
}
COGI_API int __wprintf_chk(int, const wchar_t* format, ...) { COGI_PRINT(stdout, format); }

}  // extern "C"
