// How frames get from a shared stack to a save buffer and back. Private to coroutine/.
//
// What was pushed last lies lowest, in single words, and a wider load of it would have to wait
// until those stores have reached the cache: longer than all the rest takes. So the lowest bytes
// are saved last, and word by word. The rest goes upwards, which is how processors guess what to
// fetch next.
#ifndef COGI_COROUTINE_FRAME_COPY_H_
#define COGI_COROUTINE_FRAME_COPY_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "coroutine/context.h"
#include "coroutine/sanitizers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cogi::coroutine {

// Sizes are multiples of kCopyStep: a little more than asked is copied, from below the stack
// pointer, where nothing is (the red zone belongs to a leaf, and a suspended context is none). They
// are never less than kYoung.
constexpr size_t kCopyStep = 16, kLine = 64, kYoung = 64;
static_assert(sizeof(SwitchFrame) >= kYoung);

#if COGI_SANITIZED

COGI_UNINSTRUMENTED inline void CopyFrames(char* to, const char* from, size_t size) noexcept {
#if defined(__x86_64__)
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#else
  // Through volatile, or the compiler makes a call of (instrumented) memcpy() of it.
  for (; size != 0; --size) *static_cast<volatile char*>(to++) = *from++;
#endif
}

#else

using Vector = long long __attribute__((vector_size(kCopyStep)));
inline Vector Load(const char* from) noexcept {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
inline void Store(char* to, Vector value) noexcept { __builtin_memcpy(to, &value, sizeof value); }

inline uint64_t LoadWord(const char* from) noexcept {
  uint64_t word;
  __builtin_memcpy(&word, from, sizeof word);
  asm("" : "+r"(word));  // or the compiler makes wider loads of several
  return word;
}
inline void StoreWord(char* to, uint64_t word) noexcept {
  __builtin_memcpy(to, &word, sizeof word);
}

// Narrow and Wide move a line, by what every processor has and by AVX2.
struct Narrow {
  static void Copy(char* to, const char* from) noexcept {
    const Vector a = Load(from), b = Load(from + 16), c = Load(from + 32), d = Load(from + 48);
    Store(to, a);
    Store(to + 16, b);
    Store(to + 32, c);
    Store(to + 48, d);
  }
  static void Exchange(char* one, char* other) noexcept {
    for (size_t at = 0; at < kLine; at += kCopyStep) {
      const Vector a = Load(one + at), b = Load(other + at);
      Store(one + at, b);
      Store(other + at, a);
    }
  }
};

#if defined(__x86_64__)

#define COGI_WIDE __attribute__((target("avx2")))

struct Wide {
  COGI_WIDE static void Copy(char* to, const char* from) noexcept {
    const __m256i a = LoadHalf(from), b = LoadHalf(from + 32);
    StoreHalf(to, a);
    StoreHalf(to + 32, b);
  }
  COGI_WIDE static void Exchange(char* one, char* other) noexcept {
    const __m256i a = LoadHalf(one), b = LoadHalf(one + 32);
    const __m256i c = LoadHalf(other), d = LoadHalf(other + 32);
    StoreHalf(one, c);
    StoreHalf(one + 32, d);
    StoreHalf(other, a);
    StoreHalf(other + 32, b);
  }

 private:
  COGI_WIDE static __m256i LoadHalf(const char* from) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  COGI_WIDE static void StoreHalf(char* to, __m256i value) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
};

#endif

// SaveFrames() copies from a stack, RestoreFrames() to one; nothing overlaps.
template <class Line>
[[gnu::always_inline]] inline void RestoreFrames(char* stack, const char* buffer,
                                                 size_t size) noexcept {
  size_t at = 0;
  for (; at + kLine <= size; at += kLine) Line::Copy(stack + at, buffer + at);
  for (; at < size; at += kCopyStep) Store(stack + at, Load(buffer + at));
}

template <class Line>
[[gnu::always_inline]] inline void SaveFrames(char* buffer, const char* stack,
                                              size_t size) noexcept {
  size_t at = kYoung;
  for (; at + kLine <= size; at += kLine) Line::Copy(buffer + at, stack + at);
  for (; at < size; at += kCopyStep) Store(buffer + at, Load(stack + at));
  for (at = 0; at < kYoung; at += 8) StoreWord(buffer + at, LoadWord(stack + at));
}

// ExchangeFrames() is both at once, for as many bytes one way as the other: each line of the buffer
// is fetched once.
template <class Line>
[[gnu::always_inline]] inline void ExchangeFrames(char* stack, char* buffer, size_t size) noexcept {
  size_t at = kYoung;
  for (; at + kLine <= size; at += kLine) Line::Exchange(stack + at, buffer + at);
  for (; at < size; at += kCopyStep) {
    const Vector saved = Load(stack + at), restored = Load(buffer + at);
    Store(stack + at, restored);
    Store(buffer + at, saved);
  }
  char restored[kYoung];
  Line::Copy(restored, buffer);
  for (at = 0; at < kYoung; at += 8) StoreWord(buffer + at, LoadWord(stack + at));
  Line::Copy(stack, restored);
}

#endif

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_FRAME_COPY_H_
