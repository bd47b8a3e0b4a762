// Native handlers for the tests: some that misbehave, and one that tells what it was asked.
#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "cgi/handler.h"

namespace {

// Computes for ever without one call that could yield.
struct Spin : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response&) override {
    volatile unsigned long count = 0;
    for (;;) count = count + 1;
  }
};

// Waits for longer than any test.
struct Sleep : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.Write(sleep(600) == 0 ? "slept\n" : "woken\n");
  }
};

struct Throw : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    response.Write("never seen");
    throw 42;
  }
};

// "NAME=value" lines of all meta-variables.
struct Variables : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request& request, cogi::cgi::Response& response) override {
    response.SetHeader("Content-Type", "text/plain");
    request.ForEachVariable([&](std::string_view name, std::string_view value) {
      response.Write(std::string(name).append("=").append(value).append("\n"));
    });
  }
};

// "NAME=errno;" of what a handler that means harm would try; 0: it could.
struct Escape : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request&, cogi::cgi::Response& response) override {
    const auto tell = [&](const char* name, long result) {
      response.Write(std::string(name) + "=" + std::to_string(result < 0 ? errno : 0) + ";");
    };
    char* const nothing[] = {nullptr};
    tell("passwd", syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC));
    tell("exec", syscall(SYS_execve, "/no/such/file", nothing, nothing));
    tell("trace", syscall(SYS_ptrace, PTRACE_CONT, getpid(), 0, 0));
    tell("memory", syscall(SYS_process_vm_readv, getpid(), nullptr, 0, nullptr, 0, 0));
    tell("unshare", syscall(SYS_unshare, 0));
    tell("new_user", syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS, nullptr, nullptr, nullptr, 0));
    tell("clone3", syscall(SYS_clone3, nullptr, 0));
    tell("bpf", syscall(SYS_bpf, -1, nullptr, 0));
    tell("ring", syscall(SYS_io_uring_setup, 0, nullptr));
  }
};

// Sends the head of its answer first, then reads the body and tells how long it was.
struct LateReader : cogi::cgi::Handler {
  void Serve(cogi::cgi::Request& request, cogi::cgi::Response& response) override {
    response.Flush();
    char piece[4096];
    size_t size = 0;
    for (ssize_t got; (got = request.ReadBody(piece, sizeof piece)) > 0;)
      size += static_cast<size_t>(got);
    response.Write(std::to_string(size));
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) cogi::cgi::Handler* cogi_handler(
    const char* name) {
  if (std::strcmp(name, "spin") == 0) return new Spin;
  if (std::strcmp(name, "sleep") == 0) return new Sleep;
  if (std::strcmp(name, "throw") == 0) return new Throw;
  if (std::strcmp(name, "escape") == 0) return new Escape;
  if (std::strcmp(name, "late_reader") == 0) return new LateReader;
  if (std::strcmp(name, "variables") == 0) return new Variables;
  return nullptr;
}
