#include "coroutine/check.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "coroutine/system_calls.h"

namespace cogi::coroutine {

void CheckFailed(const char* file, int line, const char* sentence) noexcept {
  char digits[12];
  char* end = digits + sizeof digits;
  char* digit = end;
  for (int rest = line; rest > 0; rest /= 10) *--digit = static_cast<char>('0' + rest % 10);
  const struct {
    const char* text;
    size_t length;
  } pieces[] = {{file, std::strlen(file)},
                {":", 1},
                {digit, static_cast<size_t>(end - digit)},
                {": ", 2},
                {sentence, std::strlen(sentence)},
                {"\n", 1}};
  for (const auto& piece : pieces) (void)sys::Write(2, piece.text, piece.length);
  std::abort();
}

}  // namespace cogi::coroutine
