// The service manager that may have started us (systemd): what it hands over, and what it wants to
// be told. By its documented protocol (sd_notify(3), sd_listen_fds(3)), without its library. For
// the master. Never yields.
#ifndef COGI_SERVER_SERVICE_MANAGER_H_
#define COGI_SERVER_SERVICE_MANAGER_H_

#include <chrono>
#include <string_view>

#include "config/settings.h"

namespace cogi::server {

// NotifyReloading() says that a reload has begun, with the time that Type=notify-reload asks for.
void NotifyReloading();

// NotifyManager() sends `state` ("READY=1") to $NOTIFY_SOCKET. Without one it does nothing.
void NotifyManager(std::string_view state);

// ManagerWatchdog() is how often at least the manager wants to hear WATCHDOG=1; 0: never.
[[nodiscard]] std::chrono::microseconds ManagerWatchdog();

// TakeInheritedSocket() is the descriptor among those handed over ($LISTEN_FDS) that listens where
// `wanted` says, or -1: a copy of it, non-blocking and close-on-exec. The manager's own stays as it
// is, to be taken again: by a reload or the next version, after this one did without it.
[[nodiscard]] int TakeInheritedSocket(const config::Listener& wanted);
// IsInheritedSocket() is true for those copies: their files are the manager's.
[[nodiscard]] bool IsInheritedSocket(int fd);
// CloseInheritedSockets() closes the manager's own, for a worker, which has its copies.
void CloseInheritedSockets() noexcept;

}  // namespace cogi::server

#endif  // COGI_SERVER_SERVICE_MANAGER_H_
