// What every hooked call begins with: is it hooked here and now, its counter, and its line of the
// trace.
//
// COGI_HOOKS=off in the environment turns all hooks of the process off. COGI_TRACE=hooks prints one
// line to stderr for each hooked call inside a coroutine: coroutine, call, descriptor, result,
// errno, time parked. COGI_SLOW_FILES=MICROSECONDS is for tests: see file_helper.h.
#ifndef COGI_HOOKS_CALLS_H_
#define COGI_HOOKS_CALLS_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "coroutine/coroutine.h"
#include "coroutine/export.h"
#include "coroutine/running.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

// Call has an enumerator for each hooked call, named as the call.
enum class Call : uint16_t {
#define COGI_CALL(name, signature, family, rule) name,
#include "hooks/calls.def"
  kCount,
};

// One line of the table (see calls.def).
struct CallInfo {
  const char* name;
  const char* family;
  const char* rule;
};
[[nodiscard]] COGI_API const CallInfo& InfoOf(Call call) noexcept;

// Another name of a call. `checked`: an entry of _FORTIFY_SOURCE.
struct AliasInfo {
  const char* alias;
  Call call;
  bool checked;
};
// The aliases, ended by one whose `alias` is null.
[[nodiscard]] COGI_API const AliasInfo* Aliases() noexcept;

// CallCount() is how often `call` was made inside coroutines of this process, by whatever name.
[[nodiscard]] COGI_API uint64_t CallCount(Call call) noexcept;

// The process's switches, read from the environment when the library is loaded.
struct Switches {
  bool hooks = true;
  bool trace = false;
  unsigned slow_files = 0;  // microseconds; 0: files are as fast as they are
};
COGI_API extern constinit Switches g_switches;
extern constinit std::atomic<uint64_t> g_counts[static_cast<size_t>(Call::kCount)];

// Hooked() is true where a blocking call must park: inside a coroutine whose hooks are enabled.
[[nodiscard]] inline bool Hooked() noexcept {
  return coroutine::RunningIsHooked() && g_switches.hooks;
}

// CallRecord counts one call and, if wanted, traces it:  CallRecord record(Call::read, fd); return
// record.Done(...);
class CallRecord {
 public:
  explicit CallRecord(Call call, int64_t subject) noexcept : call_(call), subject_(subject) {
    // No locked instruction: two threads that count one call at the same moment may count it once.
    std::atomic<uint64_t>& count = g_counts[static_cast<size_t>(call)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (g_switches.trace) [[unlikely]]
      Begin();
  }
  template <class Result>
  Result Done(Result result) noexcept {
    if (g_switches.trace) [[unlikely]]
      End(static_cast<int64_t>(result));
    if (t_interrupted) [[unlikely]]
      AfterInterruption();
    return result;
  }

 private:
  void Begin() noexcept;
  void End(int64_t result) noexcept;

  Call call_;
  int64_t subject_;
};

// Time that the current call has been parked, for its line of the trace: the code that parks
// brackets the park with these. ParkedSoFar() survives the calls of other coroutines that run
// meanwhile because the caller keeps it.
[[nodiscard]] int64_t ParkedSoFar() noexcept;
void SetParked(int64_t nanoseconds) noexcept;

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_CALLS_H_
