// The pid file: how `cogi stop` and `cogi reload` find the master, and learn what became of a
// reload. Its first line is the pid, as everywhere; the second one says how many reloads have ended
// and how the last one did. Replaced in one step, so that a reader never sees half of it. Never
// yields.
#ifndef COGI_SERVER_PID_FILE_H_
#define COGI_SERVER_PID_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace cogi::server {

struct ServerState {
  pid_t pid = 0;
  uint64_t reloads = 0;     // that have ended, well or not
  std::string last_reload;  // "": it ended well; else why not
};

// WritePidFile() writes the file, mode 0644. Returns "" or why it cannot be written.
[[nodiscard]] std::string WritePidFile(const std::string& path, const ServerState& state);

// ReadPidFile() reads it. nullopt with `*error`: it cannot be read, or no cogi has that pid.
[[nodiscard]] std::optional<ServerState> ReadPidFile(const std::string& path, std::string* error);

}  // namespace cogi::server

#endif  // COGI_SERVER_PID_FILE_H_
