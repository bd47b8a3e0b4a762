// flockfile() and its family. libc's lock of a FILE is recursive and knows threads only: it would
// be granted to every coroutine of the thread. The lock that each stdio call takes for itself is
// inside libc and stays so: only blocks that are bracketed by flockfile() are kept apart.
#include <stdio.h>

#include <cerrno>

#include "hooks/lock_owners.h"
#include "hooks/lock_parking.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

int TryLockFile(FILE* file) {
  OwnerTable& owners = OwnerTable::Here();
  const uint64_t self = coroutine::Id(*coroutine::Current());
  Owner* owner = owners.Find(file);
  if (owner != nullptr && owner->coroutine != self) return EBUSY;
  if (real::ftrylockfile(file) != 0) return EBUSY;
  if (owner != nullptr)
    ++owner->depth;
  else
    owners.Add(file, self, LockKind::kFile);
  return 0;
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API void CogiLockFile(FILE* file) __asm__("flockfile");
COGI_API int CogiTryLockFile(FILE* file) __asm__("ftrylockfile");
COGI_API void CogiUnlockFile(FILE* file) __asm__("funlockfile");

void CogiLockFile(FILE* file) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::flockfile(file);
  if (TryLockFile(file) == 0) return;
  CallRecord record(Call::flockfile, reinterpret_cast<int64_t>(file));
  record.Done(AcquireSlowly(
      file, [&] { return TryLockFile(file); },
      [&] { return OwnerTable::Here().Find(file) != nullptr; }, {CLOCK_MONOTONIC, nullptr}));
}

int CogiTryLockFile(FILE* file) {
  using namespace cogi::hooks;
  if (!LockHooked()) return real::ftrylockfile(file);
  return TryLockFile(file) == 0 ? 0 : -1;
}

void CogiUnlockFile(FILE* file) {
  using namespace cogi::hooks;
  if (LockHooked()) {
    OwnerTable& owners = OwnerTable::Here();
    Owner* owner = owners.Find(file);
    if (owner != nullptr && --owner->depth == 0) owners.Remove(file);
  }
  real::funlockfile(file);
  WakeAt(file);
}
}
