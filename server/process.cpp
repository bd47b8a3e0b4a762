#include "server/process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "server/listener.h"
#include "server/text.h"

namespace cogi::server {
namespace {

struct Identity {
  uid_t uid;
  gid_t gid;
};

Identity LookUp(const std::string& user, const std::string& group) {
  std::vector<char> buffer(16 << 10);
  passwd user_entry{};
  passwd* found_user = nullptr;
  getpwnam_r(user.c_str(), &user_entry, buffer.data(), buffer.size(), &found_user);
  if (found_user == nullptr)
    throw StartError(Concat("the user \"", user, "\" does not exist here"));
  Identity identity{user_entry.pw_uid, user_entry.pw_gid};
  if (group.empty()) return identity;
  ::group group_entry{};
  ::group* found_group = nullptr;
  getgrnam_r(group.c_str(), &group_entry, buffer.data(), buffer.size(), &found_group);
  if (found_group == nullptr)
    throw StartError(Concat("the group \"", group, "\" does not exist here"));
  identity.gid = group_entry.gr_gid;
  return identity;
}

}  // namespace

void PrepareProcess() {
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      const int opened = open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
      if (opened >= 0 && opened != fd) dup2(opened, fd);
    }
  std::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void DropPrivileges(const std::string& user, const std::string& group) {
  if (user.empty()) return;
  const Identity identity = LookUp(user, group);
  if (geteuid() == identity.uid && getegid() == identity.gid) return;
  if (geteuid() != 0)
    throw StartError(Concat("only root can run workers as the user \"", user,
                            "\"; start as root, or leave out \"user\""));
  if (initgroups(user.c_str(), identity.gid) != 0 ||
      setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
      setresuid(identity.uid, identity.uid, identity.uid) != 0)
    throw StartError(Concat("cannot become the user \"", user, "\": ", ErrnoText(errno)));
  if (geteuid() != identity.uid || getegid() != identity.gid ||
      (identity.uid != 0 && setuid(0) == 0))
    throw StartError(Concat("the privileges of root could not be given up for \"", user, "\""));
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void DieWithMaster(pid_t master) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != master) _exit(0);
}

}  // namespace cogi::server
