#include "server/pid_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "server/real_calls.h"
#include "server/text.h"

namespace cogi::server {

std::string WritePidFile(const std::string& path, const ServerState& state) {
  std::string reason = state.last_reload;
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  const std::string text = Concat(state.pid, "\n", state.reloads, " ", reason, "\n");
  const std::string temporary = Concat(path, ".", state.pid);
  unlink(temporary.c_str());
  const UniqueFd fd(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd ||
      Real().write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return Concat("the pid file ", path, " cannot be written: ", ErrnoText(error));
  }
  return {};
}

std::optional<ServerState> ReadPidFile(const std::string& path, std::string* error) {
  std::ifstream file(path);
  ServerState state;
  if (!(file >> state.pid) || state.pid <= 1) {
    *error = Concat("no server is known by the pid file ", path,
                    file.is_open() ? ": it has no pid" : ": it cannot be read");
    return std::nullopt;
  }
  file >> state.reloads;
  file.ignore(1);
  std::getline(file, state.last_reload);
  std::string name;
  std::ifstream(Concat("/proc/", state.pid, "/comm")) >> name;
  if (name != "cogi" || (kill(state.pid, 0) != 0 && errno == ESRCH)) {
    *error =
        Concat("no server runs: the pid file ", path, " names ", state.pid, ", which is no cogi");
    return std::nullopt;
  }
  return state;
}

}  // namespace cogi::server
