// Binary upgrade: the master becomes another version of itself by exec(2), with the same pid. The
// listeners stay open, and the workers stay its children: they serve until the new version's own
// workers do, so no connection is lost. Used by the master; never yields.
#ifndef COGI_SERVER_UPGRADE_H_
#define COGI_SERVER_UPGRADE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cogi::server {

// What goes from the old version to the new one.
struct Handover {
  struct Worker {
    pid_t pid;
    int channel;
  };
  struct Listener {  // descriptors
    int fd;
    int relay_in;
    int relay_out;
  };
  std::map<std::string, Listener> listeners;  // by Listener::address()
  std::vector<Worker> workers;
  uint64_t next_serial = 1;
  uint64_t reloads = 0;
};

// CheckNewVersion() runs the executable that lies where this one was started from, to see that it
// starts, and that it takes the configuration `config` ("": none). Returns "" or why not. Waits for
// it, at most ten seconds.
[[nodiscard]] std::string CheckNewVersion(const std::string& config);

// BecomeNewVersion() executes it with this process's arguments. Returns only if that failed: why.
[[nodiscard]] std::string BecomeNewVersion(const Handover& handover);

// TakeHandover() is what the version before handed over, or nullopt; the descriptors are
// close-on-exec again. Called once.
[[nodiscard]] std::optional<Handover> TakeHandover();

}  // namespace cogi::server

#endif  // COGI_SERVER_UPGRADE_H_
