#include "hooks/calls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>

#include "hooks/real.h"

namespace cogi::hooks {

constinit Switches g_switches;
constinit std::atomic<uint64_t> g_counts[static_cast<size_t>(Call::kCount)];

namespace {

constexpr CallInfo kCalls[] = {
#define COGI_CALL(name, signature, family, rule) {#name, family, rule},
#include "hooks/calls.def"
};

constexpr AliasInfo kAliases[] = {
#define COGI_CALL(name, signature, family, rule)
#define COGI_ALIAS(alias, name) {#alias, Call::name, false},
#define COGI_CHECKED(alias, name) {#alias, Call::name, true},
#include "hooks/calls.def"
    {nullptr, Call::kCount, false}};

constinit thread_local int64_t t_parked_ns = 0;

// The environment as the loader hands it over: getenv() may be somebody's hook.
const char* Variable(char** environment, const char* name) {
  const size_t length = strlen(name);
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return "";
}

// A forked child has the parent's epoll instance: none of its calls may park. The coroutine that
// forked goes on with the real calls.
void AfterForkInChild() {
  coroutine::Coroutine* self = coroutine::Current();
  if (self != nullptr) coroutine::EnableHooks(*self, false);
}

__attribute__((constructor(102))) void ReadSwitches(int, char**, char** environment) {
  g_switches.hooks = strcmp(Variable(environment, "COGI_HOOKS"), "off") != 0;
  g_switches.trace = strcmp(Variable(environment, "COGI_TRACE"), "hooks") == 0;
  g_switches.slow_files =
      static_cast<unsigned>(strtoul(Variable(environment, "COGI_SLOW_FILES"), nullptr, 10));
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
}

}  // namespace

const CallInfo& InfoOf(Call call) noexcept { return kCalls[static_cast<size_t>(call)]; }

const AliasInfo* Aliases() noexcept { return kAliases; }

uint64_t CallCount(Call call) noexcept {
  return g_counts[static_cast<size_t>(call)].load(std::memory_order_relaxed);
}

int64_t ParkedSoFar() noexcept { return t_parked_ns; }
void SetParked(int64_t nanoseconds) noexcept { t_parked_ns = nanoseconds; }

void CallRecord::Begin() noexcept { t_parked_ns = 0; }

void CallRecord::End(int64_t result) noexcept {
  const int error = errno;
  coroutine::Coroutine* self = coroutine::Current();
  if (self == nullptr) return;
  char line[200];
  const double parked_ms = static_cast<double>(t_parked_ns) / 1e6;
  int length =
      snprintf(line, sizeof line, "cogi: %llu %s: %s(%lld) = %lld%s%s, parked %.3f ms\n",
               static_cast<unsigned long long>(coroutine::Id(*self)), coroutine::Name(*self),
               InfoOf(call_).name, static_cast<long long>(subject_), static_cast<long long>(result),
               result == -1 ? " " : "", result == -1 ? strerrorname_np(error) : "", parked_ms);
  if (length > static_cast<int>(sizeof line) - 1) length = sizeof line - 1;
  // A trace that cannot be written is lost; the call goes on.
  if (real::write(STDERR_FILENO, line, static_cast<size_t>(length)) < 0) length = 0;
  errno = error;
}

}  // namespace cogi::hooks
