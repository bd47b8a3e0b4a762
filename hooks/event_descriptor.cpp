// Descriptors that report events: eventfd(), timerfd_create(), signalfd(), inotify_init(); and
// memfd_create(). They are made as the program asked; their reads are tried with RWF_NOWAIT or
// after poll(2).
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hooks/calls.h"
#include "hooks/descriptors.h"
#include "hooks/real.h"

namespace cogi::hooks {
namespace {

// What was known of the number is dropped; the table classifies the new descriptor at its first
// use.
int Fresh(int fd) {
  MadeOutside(fd);
  return Owned(fd);
}

}  // namespace
}  // namespace cogi::hooks

using namespace cogi::hooks;

extern "C" {

COGI_API int eventfd(unsigned count, int flags) noexcept {
  if (!Hooked()) return MadeOutside(real::eventfd(count, flags));
  CallRecord record(Call::eventfd, count);
  return record.Done(Fresh(real::eventfd(count, flags)));
}

COGI_API int eventfd_read(int fd, eventfd_t* value) {
  if (!Hooked()) return real::eventfd_read(fd, value);
  CallRecord record(Call::eventfd_read, fd);
  return record.Done(::read(fd, value, sizeof *value) == sizeof *value ? 0 : -1);
}

COGI_API int eventfd_write(int fd, eventfd_t value) {
  if (!Hooked()) return real::eventfd_write(fd, value);
  CallRecord record(Call::eventfd_write, fd);
  return record.Done(::write(fd, &value, sizeof value) == sizeof value ? 0 : -1);
}

COGI_API int timerfd_create(int clock, int flags) noexcept {
  if (!Hooked()) return MadeOutside(real::timerfd_create(clock, flags));
  CallRecord record(Call::timerfd_create, clock);
  return record.Done(Fresh(real::timerfd_create(clock, flags)));
}

COGI_API int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  if (!Hooked()) {
    const int made = real::signalfd(fd, mask, flags);
    return fd == -1 ? MadeOutside(made) : made;
  }
  CallRecord record(Call::signalfd, fd);
  if (fd == -1) return record.Done(Fresh(real::signalfd(fd, mask, flags)));
  return record.Done(
      OnKernelFd(fd, EINVAL, [&](int resolved) { return real::signalfd(resolved, mask, flags); }));
}

COGI_API int inotify_init() noexcept {
  if (!Hooked()) return MadeOutside(real::inotify_init());
  CallRecord record(Call::inotify_init, 0);
  return record.Done(Fresh(real::inotify_init()));
}

COGI_API int inotify_init1(int flags) noexcept {
  if (!Hooked()) return MadeOutside(real::inotify_init1(flags));
  CallRecord record(Call::inotify_init1, flags);
  return record.Done(Fresh(real::inotify_init1(flags)));
}

COGI_API int memfd_create(const char* name, unsigned flags) noexcept {
  if (!Hooked()) return MadeOutside(real::memfd_create(name, flags));
  CallRecord record(Call::memfd_create, flags);
  return record.Done(Fresh(real::memfd_create(name, flags)));
}

}  // extern "C"
