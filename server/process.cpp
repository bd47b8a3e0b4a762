#include "server/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include "server/exec/spawn.h"
#include "server/listener.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// The supplementary groups of a user, `gid` among them.
std::vector<gid_t> GroupsOf(const std::string& user, gid_t gid) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  while (getgrouplist(user.c_str(), gid, groups.data(), &count) < 0)
    groups.resize(static_cast<size_t>(count));
  groups.resize(static_cast<size_t>(count));
  return groups;
}

// Whether the process is `identity`, and nothing else.
bool Is(const Identity& identity) {
  uid_t uid[3];
  gid_t gid[3];
  if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
    return false;
  for (int which = 0; which < 3; ++which)
    if (uid[which] != identity.uid || gid[which] != identity.gid) return false;
  return true;
}

bool HasGroups(std::vector<gid_t> wanted) {
  const int count = getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
  if (count < 0 || getgroups(count, groups.data()) != count) return false;
  std::sort(groups.begin(), groups.end());
  std::sort(wanted.begin(), wanted.end());
  return groups == wanted;
}

// In a folder where others than root can write, root could be led astray: there the file is made
// with no more than the user's rights. What is wrong is said when the file is opened.
void GiveFile(const std::string& path, const Identity& identity) {
  const size_t name = path.rfind('/') + 1;
  const UniqueFd folder(open(path.substr(0, name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat status {};
  if (!folder || fstat(folder.get(), &status) != 0) return;
  const bool roots = status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (!roots && (setegid(identity.gid) != 0 || seteuid(identity.uid) != 0)) return;
  const UniqueFd made(openat(folder.get(), path.c_str() + name,
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!roots && (seteuid(0) != 0 || setegid(0) != 0))
    throw StartError(Concat("root cannot be had back: ", ErrnoText(errno)));
  if (roots && made && fchown(made.get(), identity.uid, identity.gid) != 0)
    throw StartError(Concat("cannot give ", path, " to ", identity.user, ": ", ErrnoText(errno)));
}

bool HasCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return true;
  return (data[0].permitted | data[0].effective | data[1].permitted | data[1].effective) != 0;
}

}  // namespace

std::optional<Identity> LookUp(const std::string& user, const std::string& group) {
  if (user.empty()) return std::nullopt;
  std::vector<char> buffer(16 << 10);
  passwd user_entry{};
  passwd* found_user = nullptr;
  getpwnam_r(user.c_str(), &user_entry, buffer.data(), buffer.size(), &found_user);
  if (found_user == nullptr)
    throw StartError(Concat("the user \"", user, "\" does not exist here"));
  Identity identity{user, user_entry.pw_uid, user_entry.pw_gid, {}};
  if (!group.empty()) {
    ::group group_entry{};
    ::group* found_group = nullptr;
    getgrnam_r(group.c_str(), &group_entry, buffer.data(), buffer.size(), &found_group);
    if (found_group == nullptr)
      throw StartError(Concat("the group \"", group, "\" does not exist here"));
    identity.gid = group_entry.gr_gid;
  }
  identity.groups = GroupsOf(user, identity.gid);
  return identity;
}

void PrepareProcess() {
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      const int opened = open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
      if (opened >= 0 && opened != fd) dup2(opened, fd);
    }
  ReserveSpawnDescriptors();
  std::signal(SIGPIPE, SIG_IGN);
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {
  };  // what is started finds the default again, which ignoring is not
  nothing.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(SIGALRM, &nothing, nullptr);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void DropPrivileges(const Identity& identity) {
  if (geteuid() != 0) {
    if (Is(identity)) return;
    throw StartError(Concat("only root can run workers as the user \"", identity.user,
                            "\"; start as root, or leave out \"user\""));
  }
  if (setgroups(identity.groups.size(), identity.groups.data()) != 0 ||
      setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
      setresuid(identity.uid, identity.uid, identity.uid) != 0)
    throw StartError(Concat("cannot become the user \"", identity.user, "\": ", ErrnoText(errno)));
  const bool still_root =
      identity.uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || HasCapabilities());
  if (still_root || !Is(identity) || !HasGroups(identity.groups))
    throw StartError(
        Concat("the privileges of root could not be given up for \"", identity.user, "\""));
}

void GiveLogs(const config::Log& log, const Identity& identity) {
  if (geteuid() != 0) return;
  for (const std::string& target : {log.access, log.error})
    if (target.find('/') != std::string::npos) GiveFile(target, identity);
}

void DieWithMaster(pid_t master) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != master) _exit(0);
}

}  // namespace cogi::server
