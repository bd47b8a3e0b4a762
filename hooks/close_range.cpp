// close_range() and closefrom().
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "coroutine/scheduler.h"
#include "hooks/calls.h"
#include "hooks/fd_table.h"
#include "hooks/program_state.h"
#include "hooks/real.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace cogi::hooks {
namespace {

// The last number of the range that can be open.
unsigned LastPossible(unsigned last) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<unsigned>(std::min<rlim_t>(last, limit.rlim_max));
}

// Wakes who waits for a descriptor of the range, and ends what is known of it.
void ReleaseRange(unsigned first, unsigned last) {
  const bool waits = coroutine::Scheduler::Current() != nullptr;
  for (uint64_t fd = first; fd <= LastPossible(last); ++fd) {
    if (waits || FdTable::Find(static_cast<int>(fd)) != nullptr)
      FdTable::Release(static_cast<int>(fd));
  }
}

// A program has its own descriptors only: the others are the worker's.
int CloseOwn(ProgramState& program, unsigned first, unsigned last) {
  for (uint64_t fd = first; fd <= LastPossible(last); ++fd) {
    const Descriptor what = program.Resolve(static_cast<int>(fd));
    if (what.fd >= 0 || what.file != nullptr) ::close(static_cast<int>(fd));
  }
  return 0;
}

int CloseRange(unsigned first, unsigned last, int flags) {
  const bool closes = first <= last && (flags & static_cast<int>(CLOSE_RANGE_CLOEXEC)) == 0;
  ProgramState* program = Hooked() ? CurrentProgram() : nullptr;
  if (closes && flags == 0) {
    if (program != nullptr) return CloseOwn(*program, first, last);
    ReleaseRange(first, last);
  }
  return real::close_range(first, last, flags);
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (!Hooked()) return CloseRange(first, last, flags);
  CallRecord record(Call::close_range, first);
  return record.Done(CloseRange(first, last, flags));
}

COGI_API void closefrom(int first) noexcept {
  const auto from = static_cast<unsigned>(std::max(first, 0));
  if (!Hooked()) {
    CloseRange(from, ~0U, 0);
    return;
  }
  CallRecord record(Call::closefrom, first);
  record.Done(CloseRange(from, ~0U, 0));
}

}  // extern "C"
