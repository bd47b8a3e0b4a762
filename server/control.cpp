#include "server/control.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <thread>

#include "config/load.h"
#include "coroutine/deadline.h"
#include "server/pid_file.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr std::chrono::milliseconds kStep{20};
constexpr std::chrono::seconds kReloadLimit{60};

int Fail(const std::string& message) {
  std::fprintf(stderr, "cogi: %s\n", message.c_str());
  return 1;
}

struct Server {
  std::string pid_file;
  std::chrono::milliseconds drain{30'000};
  ServerState state;
};

// Finds the server; says why not.
std::optional<Server> FindServer(const std::string& what) {
  Server server;
  server.pid_file = what;
  if (what.ends_with(".json")) {
    try {
      const config::Settings settings = config::Load(what);
      server.pid_file = settings.pid_file;
      server.drain = settings.drain;
    } catch (const std::exception& exception) {
      Fail(exception.what());
      return std::nullopt;
    }
    if (server.pid_file.empty()) {
      Fail(Concat(what, " has no \"pid_file\"; give it one, or send the signal to the master"));
      return std::nullopt;
    }
  }
  std::string error;
  const auto state = ReadPidFile(server.pid_file, &error);
  if (!state) {
    Fail(error);
    return std::nullopt;
  }
  server.state = *state;
  return server;
}

std::string Refusal(const Server& server) {
  return Concat("process ", server.state.pid, " does not take the signal: ", ErrnoText(errno));
}

}  // namespace

int StopServer(const std::string& what) {
  const auto server = FindServer(what);
  if (!server) return 1;
  if (kill(server->state.pid, SIGTERM) != 0) return Fail(Refusal(*server));
  const auto limit = coroutine::After(server->drain + std::chrono::seconds(10));
  while (kill(server->state.pid, 0) == 0) {
    if (coroutine::Clock::now() > limit)
      return Fail(Concat("the server ", server->state.pid, " does not end"));
    std::this_thread::sleep_for(kStep);
  }
  return 0;
}

int ReloadServer(const std::string& what, bool wait, bool binary) {
  const auto server = FindServer(what);
  if (!server) return 1;
  if (kill(server->state.pid, binary ? SIGRTMIN : SIGHUP) != 0) return Fail(Refusal(*server));
  if (!wait) return 0;
  const auto limit = coroutine::After(kReloadLimit);
  for (;;) {
    std::string error;
    const auto now = ReadPidFile(server->pid_file, &error);
    if (!now) return Fail(error);
    if (now->reloads != server->state.reloads)
      return now->last_reload.empty() ? 0 : Fail(now->last_reload);
    if (coroutine::Clock::now() > limit) return Fail("the reload has not ended within a minute");
    std::this_thread::sleep_for(kStep);
  }
}

}  // namespace cogi::server
