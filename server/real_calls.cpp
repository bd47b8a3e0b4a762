#include "server/real_calls.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace cogi::server {
namespace {

template <class Function>
void Find(void* libc, Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(dlsym(libc, name));
  if (function == nullptr) {
    std::fprintf(stderr, "cogi: libc has no %s(): %s\n", name, dlerror());
    std::abort();
  }
}

RealCalls LookUp() {
  // By handle, not by RTLD_NEXT: the search must begin at libc itself, whoever else interposes.
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (libc == nullptr) {
    std::fprintf(stderr, "cogi: libc.so.6 is not loaded: %s\n", dlerror());
    std::abort();
  }
  RealCalls calls{};
  Find(libc, calls.read, "read");
  Find(libc, calls.write, "write");
  Find(libc, calls.recv, "recv");
  Find(libc, calls.send, "send");
  Find(libc, calls.sendmsg, "sendmsg");
  Find(libc, calls.recvmsg, "recvmsg");
  Find(libc, calls.sendfile, "sendfile");
  Find(libc, calls.pread, "pread");
  Find(libc, calls.accept4, "accept4");
  Find(libc, calls.shutdown, "shutdown");
  Find(libc, calls.close, "close");
  Find(libc, calls.dup, "dup");
  Find(libc, calls.poll, "poll");
  return calls;
}

}  // namespace

const RealCalls& Real() noexcept {
  static const RealCalls calls = LookUp();
  return calls;
}

bool PeerHasGone(int fd) noexcept {
  pollfd poll_fd{fd, 0, 0};
  return Real().poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace cogi::server
