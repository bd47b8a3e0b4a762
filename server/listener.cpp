#include "server/listener.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "config/load.h"
#include "server/address.h"
#include "server/service_manager.h"
#include "server/text.h"

namespace cogi::server {
namespace {

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw StartError(Concat("the socket path ", path, " is longer than ",
                            sizeof address.sun_path - 1, " bytes; choose a shorter one"));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Removes what stands at `path` if it is a socket on which nobody listens; throws if it is anything
// else that stands in the way.
void ClearStaleSocket(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;  // bind() will say what is wrong, if anything is
  if (!S_ISSOCK(status.st_mode))
    throw StartError(Concat("the socket path ", path,
                            " exists and is no socket; remove it or choose another path"));
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN || errno == EINPROGRESS)
    throw StartError(Concat("the socket ", path,
                            " is in use by a running server; stop that one or choose another "
                            "path (ss -xlp shows who listens)"));
  if (errno != ECONNREFUSED && errno != ENOENT)
    throw StartError(Concat("the socket ", path, " exists and cannot be tried: ", ErrnoText(errno),
                            "; remove it if nobody uses it"));
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    throw StartError(Concat("the stale socket ", path, " cannot be removed: ", ErrnoText(errno),
                            "; the server needs write permission on its folder"));
}

template <class Entry, class Lookup>
auto IdOf(const std::string& name, const char* what, Lookup lookup, Entry*) {
  Entry entry{};
  Entry* found = nullptr;
  std::vector<char> buffer(16 << 10);
  lookup(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    throw StartError(Concat("the ", what, " \"", name, "\" of a listener does not exist here"));
  return entry;
}

void SetOwner(const config::Listener& settings) {
  const char* path = settings.unix_path.c_str();
  if (chmod(path, settings.mode) != 0)
    throw StartError(Concat("the mode of the socket ", path, " cannot be set: ", ErrnoText(errno)));
  if (settings.owner.empty() && settings.group.empty()) return;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  if (!settings.owner.empty())
    uid = IdOf(settings.owner, "owner", getpwnam_r, static_cast<passwd*>(nullptr)).pw_uid;
  if (!settings.group.empty())
    gid = IdOf(settings.group, "group", getgrnam_r, static_cast<group*>(nullptr)).gr_gid;
  if (chown(path, uid, gid) != 0)
    throw StartError(Concat("the owner of the socket ", path, " cannot be set: ", ErrnoText(errno),
                            "; start as root, or leave out \"owner\" and \"group\""));
}

std::string BindRefusal(const config::Listener& settings, int error) {
  const std::string shown = config::FormatListener(settings);
  switch (error) {
    case EADDRINUSE:
      return Concat("cannot listen on ", shown, ": port ", settings.port,
                    " is in use by another program; stop that one or choose another port (ss "
                    "-ltnp shows who listens)");
    case EACCES:
      if (settings.is_unix())
        return Concat("cannot listen on ", shown,
                      ": no write permission on the folder of the socket; change its owner or "
                      "choose another path");
      return Concat("cannot listen on ", shown,
                    ": ports below 1024 need root or the capability "
                    "CAP_NET_BIND_SERVICE; choose a port from 1024 on, or grant it");
    case EADDRNOTAVAIL:
      return Concat("cannot listen on ", shown,
                    ": this machine has no such address; use one of its own, or 0.0.0.0 for all");
    case ENOENT:
      return Concat("cannot listen on ", shown,
                    ": the folder of the socket does not exist; make "
                    "it first");
    default:
      return Concat("cannot listen on ", shown, ": ", ErrnoText(error));
  }
}

}  // namespace

Listener::Listener(const config::Listener& settings, UniqueFd fd, Relay relay)
    : fd_(std::move(fd)),
      relay_(std::move(relay)),
      address_(config::FormatListener(settings)),
      shown_(address_),
      path_(settings.unix_path) {}

std::shared_ptr<Listener> Listener::Bind(const config::Listener& settings) {
  const int family = settings.is_unix()                             ? AF_UNIX
                     : settings.host.find(':') != std::string::npos ? AF_INET6
                                                                    : AF_INET;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throw StartError(BindRefusal(settings, errno));
  std::shared_ptr<Listener> listener(new Listener(settings, std::move(fd), Relay()));
  if (settings.is_unix()) {
    listener->BindUnix(settings);
  } else {
    listener->BindTcp(settings);
  }
  if (listen(listener->fd(), settings.backlog) != 0) throw StartError(BindRefusal(settings, errno));
  listener->Settle();
  return listener;
}

std::shared_ptr<Listener> Listener::Adopt(const config::Listener& settings, int fd, Relay relay) {
  std::shared_ptr<Listener> listener(new Listener(settings, UniqueFd(fd), std::move(relay)));
  listener->managed_ = IsInheritedSocket(fd);
  listener->Settle();
  return listener;
}

void Listener::BindUnix(const config::Listener& settings) {
  const sockaddr_un address = UnixAddress(settings.unix_path);
  ClearStaleSocket(settings.unix_path, address);
  // Nobody may connect before mode and owner are as they should be.
  const mode_t umask_before = umask(0777);
  const int refused =
      bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  umask(umask_before);
  if (refused != 0) throw StartError(BindRefusal(settings, refused));
  SetOwner(settings);
}

void Listener::BindTcp(const config::Listener& settings) {
  const int on = 1;
  sockaddr_storage address{};
  socklen_t size = 0;
  if (settings.host.find(':') != std::string::npos) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(settings.port);
    size = sizeof v6;
    if (inet_pton(AF_INET6, settings.host.c_str(), &v6.sin6_addr) != 1) size = 0;
    setsockopt(fd(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(settings.port);
    size = sizeof v4;
    if (inet_pton(AF_INET, settings.host.c_str(), &v4.sin_addr) != 1) size = 0;
  }
  if (size == 0)
    throw StartError(
        Concat("cannot listen on ", address_, ": ", settings.host, " is no numeric address"));
  // A port whose old connections linger in TIME_WAIT may be bound again at once.
  setsockopt(fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    throw StartError(BindRefusal(settings, errno));
}

void Listener::Settle() {
  if (!path_.empty()) {
    struct stat status {};
    if (stat(path_.c_str(), &status) == 0) {
      device_ = status.st_dev;
      inode_ = status.st_ino;
    }
    return;
  }
  // Connections inherit it: answers are written whole and must not wait for the peer's ACK.
  const int on = 1;
  setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) return;
  if (address_.ends_with(":0"))
    shown_ = Concat(std::string_view(address_).substr(0, address_.size() - 1), PortOf(bound));
}

void Listener::Remove() noexcept {
  if (path_.empty() || managed_) return;
  struct stat status {};
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
    unlink(path_.c_str());
}

}  // namespace cogi::server
