// What a process of the server does for itself: descriptors, limits, user, life. For the start of
// a process, outside coroutines; never yields.
#ifndef COGI_SERVER_PROCESS_H_
#define COGI_SERVER_PROCESS_H_

#include <sys/types.h>

#include <string>

namespace cogi::server {

// PrepareProcess() opens descriptors 0 to 2 on /dev/null where they are closed (else the first
// sockets would get these numbers), ignores SIGPIPE, and raises the limit of open descriptors to
// what the system allows.
void PrepareProcess();

// DropPrivileges() becomes `user` and `group` for good: groups, gid, uid, each checked, and that
// root cannot be had back. `user` "": nothing. `group` "": the user's. Throws StartError.
void DropPrivileges(const std::string& user, const std::string& group);

// DieWithMaster() lets the kernel send SIGTERM to this process when `master` dies, however it does.
// Exits at once if it has died already.
void DieWithMaster(pid_t master);

}  // namespace cogi::server

#endif  // COGI_SERVER_PROCESS_H_
