// Poller: what the kernel does for Descriptors. There is one for epoll (Linux) and one for kqueue
// (FreeBSD, macOS); COGI_POLLER_KQUEUE chooses the latter elsewhere, for tests. All of it is one
// thread's, Signal() apart. Never yields, never calls what hooks/ interposes.
#ifndef COGI_COROUTINE_POLLER_H_
#define COGI_COROUTINE_POLLER_H_

#include <concepts>
#include <cstdint>

#if defined(COGI_POLLER_KQUEUE) || !defined(__linux__)
#include "coroutine/poller_kqueue.h"
namespace cogi::coroutine {
using Poller = KqueuePoller;
}
#else
#include "coroutine/poller_epoll.h"
namespace cogi::coroutine {
using Poller = EpollPoller;
}
#endif

namespace cogi::coroutine {

// The interface. Its constructor throws std::system_error if the kernel refuses.
template <class P>
concept IsPoller = requires(P poller, const P kept, typename P::Report report, int fd,
                            uint32_t generation, uint32_t& known, int64_t wait) {
  // Add() has the kernel report on `fd`, once for each change (edge-triggered), beginning with what
  // is so now: all events of events.h. Each report brings `generation` back. Adding again replaces.
  // `known` receives what is known without a report and will not be reported. Returns 0 or an
  // errno: EBADF; EPERM: the kernel does not report on such a file, which is always ready.
  { poller.Add(fd, generation, known) }
  noexcept->std::same_as<int>;
  // AddExclusive() has it report as long as there is something to read (level-triggered), if the
  // kernel can to one only of several processes that wait for the file. `fd` must not be added.
  { poller.AddExclusive(fd, generation) }
  noexcept->std::same_as<int>;
  { poller.Remove(fd) }
  noexcept;
  // Wait() waits at most `wait` nanoseconds for reports (0: not at all; below 0: for ever) and
  // returns how many of P::kReports it has filled.
  { poller.Wait(&report, wait) }
  noexcept->std::same_as<int>;
  // A report: the descriptor, -1 if it is of Signal(); the generation it was added with; events.
  { report.fd() }
  noexcept->std::same_as<int>;
  { report.generation() }
  noexcept->std::same_as<uint32_t>;
  { report.events() }
  noexcept->std::same_as<uint32_t>;
  // Signal() ends a Wait(), this one or the next. Thread-safe, signal-safe.
  { kept.Signal() }
  noexcept;
  // How often the kernel was asked to wait, and told what to report on.
  { kept.waits() }
  noexcept->std::same_as<uint64_t>;
  { kept.controls() }
  noexcept->std::same_as<uint64_t>;
};
static_assert(IsPoller<Poller>);

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_POLLER_H_
