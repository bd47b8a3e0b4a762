#include "server/upstream/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "server/exec/spawn.h"
#include "server/temporary_folder.h"
#include "server/text.h"

namespace cogi::server {
namespace {

// A process has one request at a time; further connections only wait while it ends a request that
// was given up.
constexpr int kBacklog = 16;

// A private folder, in which a socket has its name for a moment. By system calls: the hooked ones
// would yield, with a process half started.
class Folder {
 public:
  Folder() {
    path_ = Concat(TemporaryFolder(), "/cogi-XXXXXX");
    usable_ = mkdtemp(path_.data()) != nullptr;
    socket_ = Concat(path_, "/s");
  }
  ~Folder() {
    if (!usable_) return;
    ::syscall(SYS_unlinkat, AT_FDCWD, socket_.c_str(), 0);
    ::syscall(SYS_unlinkat, AT_FDCWD, path_.c_str(), AT_REMOVEDIR);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] bool usable() const { return usable_; }
  [[nodiscard]] const std::string& socket() const { return socket_; }

 private:
  std::string path_;
  std::string socket_;
  bool usable_ = false;
};

// A listening socket for the child, blocking, and the same as a file.
int MakeSocket(UniqueFd* listener, UniqueFd* file) {
  const Folder folder;
  if (!folder.usable()) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (folder.socket().size() >= sizeof address.sun_path) return ENAMETOOLONG;
  folder.socket().copy(address.sun_path, sizeof address.sun_path - 1);
  listener->Reset(static_cast<int>(::syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (!*listener || ::syscall(SYS_bind, listener->get(), &address, sizeof address) != 0 ||
      ::syscall(SYS_listen, listener->get(), kBacklog) != 0)
    return errno;
  file->Reset(
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, address.sun_path, O_PATH | O_CLOEXEC, 0)));
  return *file ? 0 : errno;
}

int MakePipe(UniqueFd* read, UniqueFd* write) {
  int ends[2];
  if (::syscall(SYS_pipe2, ends, O_CLOEXEC) != 0) return errno;
  read->Reset(ends[0]);
  write->Reset(ends[1]);
  ::syscall(SYS_fcntl, ends[0], F_SETFL, O_NONBLOCK);
  return 0;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

int StartProcess(const ProcessCommand& command, SpawnedProcess* process) {
  UniqueFd listener;
  UniqueFd child_errors;
  if (const int error = MakeSocket(&listener, &process->socket)) return error;
  if (const int error = MakePipe(&process->errors, &child_errors)) return error;
  std::vector<char*> arguments = Pointers(command.words);
  std::vector<char*> environment = Pointers(command.environment);
  SpawnPlan plan;
  plan.path = command.words.front().c_str();
  plan.directory = command.directory.c_str();
  plan.arguments = arguments.data();
  plan.environment = environment.data();
  plan.standard[0] = listener.get();
  plan.standard[1] = plan.standard[2] = child_errors.get();
  plan.session = true;
  plan.death_signal = SIGTERM;
  if (const int error = SpawnProcess(plan, &process->pid)) return error;
  process->pidfd.Reset(static_cast<int>(::syscall(SYS_pidfd_open, process->pid, 0)));
  if (process->pidfd) return 0;
  const int error = errno;
  SignalGroup(*process, SIGKILL);
  ::syscall(SYS_wait4, process->pid, nullptr, 0, nullptr);
  process->pid = -1;
  return error;
}

UpstreamAddress AddressOf(const SpawnedProcess& process) {
  // The kernel follows this name to the socket itself, whatever became of its path.
  const std::string path = Concat("/proc/self/fd/", process.socket.get());
  UpstreamAddress made;
  auto& address = reinterpret_cast<sockaddr_un&>(made.address);
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  made.size = sizeof address;
  return made;
}

void SignalGroup(const SpawnedProcess& process, int signal) {
  if (process.pid > 0) ::syscall(SYS_kill, -process.pid, signal);
}

bool ReapProcess(const SpawnedProcess& process, int* status) {
  siginfo_t info{};
  if (::syscall(SYS_waitid, P_PIDFD, process.pidfd.get(), &info, WEXITED | WNOHANG, nullptr) != 0 ||
      info.si_pid == 0)
    return false;
  *status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  return true;
}

std::string DescribeStatus(int status) {
  if (WIFEXITED(status)) return Concat("exit status ", WEXITSTATUS(status));
  return Concat("signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")");
}

}  // namespace cogi::server
