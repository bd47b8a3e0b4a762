// Non-blocking connects, several at once, awaited by one hooked poll(); some answer, one never
// does.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "check.h"
#include "co_routine.h"

struct Job {
  std::vector<sockaddr_in> addresses;
  int connected;
  bool done;
};

static int Listen(sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  *address = {};
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof *address;
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(address), length) == 0 && listen(fd, 8) == 0);
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(address), &length) == 0);
  return fd;
}

static void* Connect(void* argument) {
  co_enable_hook_sys();
  Job* job = static_cast<Job*>(argument);
  std::vector<pollfd> fds;
  for (const sockaddr_in& address : job->addresses) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    CHECK(result == 0 || errno == EINPROGRESS);
    fds.push_back({fd, POLLOUT | POLLERR | POLLHUP, 0});
  }
  int silent[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
  fds.push_back({silent[0], POLLIN, 0});
  std::set<int> raised;
  for (;;) {
    const int ready = poll(fds.data(), fds.size(), 50);
    if (ready == 0) break;  // only the silent one is left
    for (pollfd& entry : fds) {
      if (entry.revents == 0) continue;
      CHECK(entry.fd != silent[0]);
      int error = -1;
      socklen_t length = sizeof error;
      CHECK(getsockopt(entry.fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
      raised.insert(entry.fd);
      close(entry.fd);
      entry.fd = -1;
    }
  }
  job->connected = static_cast<int>(raised.size());
  close(silent[0]);
  close(silent[1]);
  job->done = true;
  return NULL;
}

int main() {
  std::vector<int> listeners;
  std::vector<Job> jobs(3);
  for (Job& job : jobs) {
    job.addresses.resize(4);
    for (sockaddr_in& address : job.addresses) listeners.push_back(Listen(&address));
    stCoRoutine_t* co = NULL;
    CHECK(co_create(&co, NULL, Connect, &job) == 0);
    co_resume(co);
  }
  co_eventloop(
      co_get_epoll_ct(),
      [](void* all) -> int {
        for (const Job& job : *static_cast<std::vector<Job>*>(all)) {
          if (!job.done) return 0;
        }
        return -1;
      },
      &jobs);
  for (const Job& job : jobs) CHECK(job.connected == 4);
  for (const int fd : listeners) close(fd);
  return 0;
}
