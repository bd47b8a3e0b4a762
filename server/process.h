// What a process of the server does for itself: descriptors, limits, user, life. For the start of
// a process, outside coroutines; never yields.
#ifndef COGI_SERVER_PROCESS_H_
#define COGI_SERVER_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"

namespace cogi::server {

// PrepareProcess() opens descriptors 0 to 2 on /dev/null where they are closed (else the first
// sockets would get these numbers), takes the numbers that starting programs needs while low ones
// are free (exec/spawn.h), ignores SIGPIPE and SIGALRM, and raises the limit of open
// descriptors to what the system allows.
void PrepareProcess();

// Identity is whom a process becomes.
struct Identity {
  std::string user;
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

// LookUp() finds `user` and `group` ("": the user's own) in the system's files. `user` "": nobody.
// Throws StartError.
[[nodiscard]] std::optional<Identity> LookUp(const std::string& user, const std::string& group);

// DropPrivileges() becomes `identity` for good: groups, gid, uid; and looks whether that is so, no
// capability is left, and root cannot be had back. Throws StartError.
void DropPrivileges(const Identity& identity);

// GiveLogs() makes the log files of a pool that are missing, for workers that become `identity` and
// open them anew as such. For root; else nothing.
void GiveLogs(const config::Log& log, const Identity& identity);

// DieWithMaster() lets the kernel send SIGTERM to this process when `master` dies, however it does.
// Exits at once if it has died already.
void DieWithMaster(pid_t master);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROCESS_H_
