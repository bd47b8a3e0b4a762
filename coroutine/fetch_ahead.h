// What those touch who run next has long left the inner caches and the translation buffer where
// there are many coroutines, and each resume would wait for one line after the other. So the
// processor is asked for it while another runs. Private to coroutine/.
#ifndef COGI_COROUTINE_FETCH_AHEAD_H_
#define COGI_COROUTINE_FETCH_AHEAD_H_

#include <algorithm>
#include <cstddef>

#include "coroutine/control_block.h"

namespace cogi::coroutine {

// Fetch() asks for memory and does not wait for it. It never faults. (These are inlined by force:
// they have no effect that the compiler knows of, and a call of such a function is left out.)
[[gnu::always_inline]] inline void Fetch(const void* from, size_t size) noexcept {
  for (size_t at = 0; at < size; at += 64)
    __builtin_prefetch(static_cast<const char*>(from) + at, 0, 2);
}

// FetchAhead() asks for what the first kFetchedAhead of the ready queue touch first, of each page
// of saved frames for one line: the processor looks for the translations of several pages at the
// same time, but waits for one that it is asked for alone.
constexpr size_t kFetchedAhead = 8;

[[gnu::always_inline]] inline void FetchAhead(const Coroutine* ready) noexcept {
  constexpr size_t kTouched = 512, kPage = 4096;
  for (size_t i = 0; i < kFetchedAhead && ready != nullptr; ++i, ready = ready->ready_next) {
    for (size_t at = 0; at < ready->save.used; at += kPage) Fetch(ready->save.data + at, 1);
    if (ready->save.used == 0 && ready->sp != nullptr) Fetch(ready->sp, kTouched);
  }
}

// FetchSaved() asks for all frames, up to a bound, that are to be copied to their stack next.
[[gnu::always_inline]] inline void FetchSaved(const Coroutine* next) noexcept {
  constexpr size_t kMost = 8192;
  if (next != nullptr) Fetch(next->save.data, std::min<size_t>(next->save.used, kMost));
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_FETCH_AHEAD_H_
