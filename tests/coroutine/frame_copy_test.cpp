// Copies of frames by what every processor has and by AVX2: all the bytes, and no others.
#include "coroutine/frame_copy.h"

#include <gtest/gtest.h>

#include <string>

#if !COGI_SANITIZED

namespace cogi::coroutine {
namespace {

constexpr size_t kMargin = 64, kSizes[] = {64, 80, 96, 112, 128, 144, 192, 336, 1216, 8384, 70'000};

std::string Pattern(size_t size, unsigned seed) {
  std::string bytes(size + 2 * kMargin, '\0');
  for (char& byte : bytes) byte = static_cast<char>((seed = seed * 1103515245 + 12345) >> 16);
  return bytes;
}

// `from` with its middle, of `size` bytes, taken from `of`.
std::string WithMiddle(std::string from, const std::string& of, size_t size) {
  return from.replace(kMargin, size, of, kMargin, size);
}

template <class Line>
[[gnu::noinline]] void MovesAllBytesAndNoOthers() {
  for (const size_t size : kSizes) {
    const std::string stack = Pattern(size, 1), buffer = Pattern(size, 2);
    std::string a = stack, b = buffer;
    SaveFrames<Line>(b.data() + kMargin, a.data() + kMargin, size);
    EXPECT_EQ(a, stack) << size;
    EXPECT_EQ(b, WithMiddle(buffer, stack, size)) << size;
    a = stack, b = buffer;
    RestoreFrames<Line>(a.data() + kMargin, b.data() + kMargin, size);
    EXPECT_EQ(a, WithMiddle(stack, buffer, size)) << size;
    EXPECT_EQ(b, buffer) << size;
    a = stack, b = buffer;
    ExchangeFrames<Line>(a.data() + kMargin, b.data() + kMargin, size);
    EXPECT_EQ(a, WithMiddle(stack, buffer, size)) << size;
    EXPECT_EQ(b, WithMiddle(buffer, stack, size)) << size;
  }
}

TEST(FrameCopy, MovesAllBytesAndNoOthers) { MovesAllBytesAndNoOthers<Narrow>(); }

#if defined(__x86_64__)
TEST(FrameCopy, MovesAllBytesAndNoOthersByAvx2) {
  if (__builtin_cpu_supports("avx2") == 0) GTEST_SKIP() << "this processor has no AVX2";
  MovesAllBytesAndNoOthers<Wide>();
}
#endif

}  // namespace
}  // namespace cogi::coroutine

#endif
