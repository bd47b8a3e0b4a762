#include "server/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "server/address.h"
#include "server/log.h"
#include "server/real_calls.h"

namespace cogi::server {
namespace {

constexpr int kFirstInherited = 3;

// A number in the environment that is meant for this process.
long NumberFor(const char* name, const char* pid_name) {
  const char* pid = std::getenv(pid_name);
  const char* number = std::getenv(name);
  if (number == nullptr || (pid != nullptr && std::atol(pid) != getpid())) return 0;
  return std::atol(number);
}

// Behind the last socket that was handed over. Workers are other processes, so it is asked once.
int InheritedEnd() {
  static const long count = std::clamp(NumberFor("LISTEN_FDS", "LISTEN_PID"), 0L, 1024L);
  return kFirstInherited + static_cast<int>(count);
}

bool ListensWhere(int fd, const config::Listener& wanted) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  int listens = 0;
  socklen_t listens_size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0 || listens == 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return false;
  if (!wanted.is_unix())
    return bound.ss_family != AF_UNIX && HostOf(bound) == wanted.host &&
           PortOf(bound) == wanted.port;
  const auto& unix_address = reinterpret_cast<const sockaddr_un&>(bound);
  return bound.ss_family == AF_UNIX &&
         wanted.unix_path ==
             std::string(unix_address.sun_path,
                         strnlen(unix_address.sun_path, sizeof unix_address.sun_path));
}

}  // namespace

void NotifyManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof address.sun_path)
    return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address), size) < 0)
    LogWarning("the service manager at ", path, " cannot be told ", state, ": ", ErrnoText(errno));
}

void NotifyReloading() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  NotifyManager(Concat("RELOADING=1\nMONOTONIC_USEC=", microseconds));
}

std::chrono::microseconds ManagerWatchdog() {
  return std::chrono::microseconds(NumberFor("WATCHDOG_USEC", "WATCHDOG_PID"));
}

int TakeInheritedSocket(const config::Listener& wanted) {
  for (int fd = kFirstInherited; fd < InheritedEnd(); ++fd) {
    if (!ListensWhere(fd, wanted)) continue;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fcntl(fd, F_DUPFD_CLOEXEC, InheritedEnd());
  }
  return -1;
}

bool IsInheritedSocket(int fd) {
  struct stat own {};
  if (fstat(fd, &own) != 0) return false;
  for (int inherited = kFirstInherited; inherited < InheritedEnd(); ++inherited) {
    struct stat other {};
    if (fstat(inherited, &other) == 0 && other.st_dev == own.st_dev && other.st_ino == own.st_ino)
      return true;
  }
  return false;
}

void CloseInheritedSockets() noexcept {
  for (int fd = kFirstInherited; fd < InheritedEnd(); ++fd) Real().close(fd);
}

}  // namespace cogi::server
