// An echo server as libco's users write it: one coroutine accepts and hands the connections to idle
// ones of a pool, each of which reads and writes with hooks on. Clients in a second process.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stack>
#include <vector>

#include "check.h"
#include "co_routine.h"

int co_accept(int fd, struct sockaddr* address, socklen_t* length);  // as libco's users do

struct Task {
  stCoRoutine_t* co;
  int fd;
};
static std::stack<Task*> idle;
static int listener = -1;
static int served = 0;
static const int kClients = 20, kRounds = 10;

static void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK); }

static void* ReadAndWrite(void* argument) {
  co_enable_hook_sys();
  Task* task = static_cast<Task*>(argument);
  char buffer[1024];
  for (;;) {
    if (task->fd == -1) {
      idle.push(task);
      co_yield_ct();
      continue;
    }
    const int fd = task->fd;
    task->fd = -1;
    for (;;) {
      struct pollfd set = {fd, POLLIN | POLLERR | POLLHUP, 0};
      poll(&set, 1, 1000);
      const ssize_t got = read(fd, buffer, sizeof buffer);
      if (got > 0 && write(fd, buffer, static_cast<size_t>(got)) == got) continue;
      if (got < 0 && errno == EAGAIN) continue;
      close(fd);
      ++served;
      break;
    }
  }
  return NULL;
}

static void* Accept(void*) {
  co_enable_hook_sys();
  for (;;) {
    if (idle.empty()) {  // all are busy: look again later
      struct pollfd nothing = {-1, 0, 0};
      poll(&nothing, 1, 10);
      continue;
    }
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    socklen_t length = sizeof address;
    const int fd = co_accept(listener, reinterpret_cast<struct sockaddr*>(&address), &length);
    if (fd < 0) {
      struct pollfd set = {listener, POLLIN | POLLERR | POLLHUP, 0};
      co_poll(co_get_epoll_ct(), &set, 1, 1000);
      continue;
    }
    if (idle.empty()) {
      close(fd);
      continue;
    }
    SetNonBlocking(fd);
    Task* task = idle.top();
    task->fd = fd;
    idle.pop();
    co_resume(task->co);
  }
  return NULL;
}

struct Client {
  struct sockaddr_in address;
  int right;
};

static void* Talk(void* argument) {
  co_enable_hook_sys();
  Client* client = static_cast<Client*>(argument);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr* address = reinterpret_cast<const struct sockaddr*>(&client->address);
  CHECK(connect(fd, address, sizeof client->address) == 0);
  for (int i = 0; i < kRounds; ++i) {
    const char sent[8] = "sayHELO";
    char back[8] = "";
    CHECK(write(fd, sent, sizeof sent) == 8);
    if (read(fd, back, sizeof back) == 8 && memcmp(sent, back, sizeof sent) == 0) ++client->right;
  }
  close(fd);
  return NULL;
}

static int UntilServed(void*) { return served == kClients ? -1 : 0; }
static int UntilAllRight(void* argument) {
  for (const Client& client : *static_cast<std::vector<Client>*>(argument)) {
    if (client.right != kRounds) return 0;
  }
  return -1;
}

static int RunClients(const struct sockaddr_in& address) {
  std::vector<Client> clients(kClients, Client{address, 0});
  for (Client& client : clients) {
    stCoRoutine_t* co = NULL;
    CHECK(co_create(&co, NULL, Talk, &client) == 0);
    co_resume(co);
  }
  co_eventloop(co_get_epoll_ct(), UntilAllRight, &clients);
  return 0;
}

int main() {
  listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr* any = reinterpret_cast<struct sockaddr*>(&address);
  socklen_t length = sizeof address;
  CHECK(bind(listener, any, sizeof address) == 0 && listen(listener, 128) == 0);
  CHECK(getsockname(listener, any, &length) == 0);
  SetNonBlocking(listener);
  const pid_t child = fork();
  if (child == 0) exit(RunClients(address));
  for (int i = 0; i < 5; ++i) {  // fewer than clients
    Task* task = new Task;
    task->fd = -1;
    CHECK(co_create(&task->co, NULL, ReadAndWrite, task) == 0);
    co_resume(task->co);
  }
  stCoRoutine_t* acceptor = NULL;
  CHECK(co_create(&acceptor, NULL, Accept, NULL) == 0);
  co_resume(acceptor);
  co_eventloop(co_get_epoll_ct(), UntilServed, NULL);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return 0;
}
