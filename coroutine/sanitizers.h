// What the sanitizers and Valgrind are told about stacks. Everything here is empty in an ordinary
// build.
#ifndef COGI_COROUTINE_SANITIZERS_H_
#define COGI_COROUTINE_SANITIZERS_H_

#include <cstddef>

// GCC tells by a macro what it instruments for, clang by a feature.
#if defined(__has_feature)
#define COGI_HAS_FEATURE(name) __has_feature(name)
#else
#define COGI_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || COGI_HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define COGI_ASAN 1
#else
#define COGI_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || COGI_HAS_FEATURE(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define COGI_TSAN 1
#else
#define COGI_TSAN 0
#endif

#define COGI_SANITIZED (COGI_ASAN || COGI_TSAN)

// Code that touches stacks other than its own.
#define COGI_UNINSTRUMENTED \
  __attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined"), noinline))

namespace cogi::coroutine {

// Unpoison() forgets what AddressSanitizer knows of [low, high): frames of a previous owner.
inline void Unpoison([[maybe_unused]] const void* low, [[maybe_unused]] const void* high) noexcept {
#if COGI_ASAN
  __asan_unpoison_memory_region(
      low, static_cast<size_t>(static_cast<const char*>(high) - static_cast<const char*>(low)));
#endif
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SANITIZERS_H_
