#include "server/upstream/server_list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/log.h"

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kFirstRest{1};
constexpr std::chrono::seconds kLongestRest{30};

UpstreamAddress AddressOf(const config::Upstream::Server& server) {
  UpstreamAddress made;
  if (!server.unix_path.empty()) {
    auto& unix_address = reinterpret_cast<sockaddr_un&>(made.address);
    unix_address.sun_family = AF_UNIX;
    std::memcpy(unix_address.sun_path, server.unix_path.c_str(), server.unix_path.size() + 1);
    made.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + server.unix_path.size() + 1);
    made.text = Concat("unix:", server.unix_path);
  } else if (server.host.find(':') != std::string::npos) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(made.address);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(server.port);
    inet_pton(AF_INET6, server.host.c_str(), &v6.sin6_addr);
    made.size = sizeof v6;
    made.text = Concat("[", server.host, "]:", server.port);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(made.address);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(server.port);
    inet_pton(AF_INET, server.host.c_str(), &v4.sin_addr);
    made.size = sizeof v4;
    made.text = Concat(server.host, ":", server.port);
  }
  return made;
}

void Close(UniqueFd& fd) {
  coroutine::ForgetFd(fd.get());
  fd.Reset();
}

}  // namespace

ServerList::ServerList(const config::Route& route) : route_(route), settings_(route.upstream) {
  for (const config::Upstream::Server& server : settings_.servers) {
    servers_.push_back(std::make_unique<Server>());
    servers_.back()->address = AddressOf(server);
  }
}

bool ServerList::HasRoom(const Server& server) const {
  return settings_.connections == 0 || server.links < settings_.connections;
}

// The one with the least to do among those that are up, else the one that has been down longest.
ServerList::Server* ServerList::Choose(const std::vector<const Server*>& tried) {
  const auto now = coroutine::Clock::now();
  Server* best = nullptr;
  const auto better = [&](const Server& server) {
    if (best == nullptr) return true;
    const bool up = server.down_until <= now;
    const bool best_up = best->down_until <= now;
    if (up != best_up) return up;
    return up ? server.links < best->links : server.down_until < best->down_until;
  };
  for (size_t i = 0; i < servers_.size(); ++i) {
    Server& server = *servers_[(next_ + i) % servers_.size()];
    if (std::find(tried.begin(), tried.end(), &server) == tried.end() && HasRoom(server) &&
        better(server))
      best = &server;
  }
  next_ = (next_ + 1) % servers_.size();
  return best;
}

bool ServerList::AwaitRoom(coroutine::Deadline until, LinkRefusal* refusal) {
  coroutine::Coroutine* self = coroutine::Current();
  coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
  node.coroutine = self;
  room_.Add(node);
  const auto reason =
      coroutine::Park(coroutine::WaitKind::kAdmission, settings_.connections, until);
  if (reason == coroutine::WakeReason::kReady) return true;
  if (reason == coroutine::WakeReason::kTimeout)
    *refusal = {503, Concat("all ", settings_.connections, " connections are busy")};
  return false;
}

std::unique_ptr<Link> ServerList::LinkTo(Server& server, bool fresh, int* error) {
  auto link = std::make_unique<Link>();
  link->place = &server;
  while (!fresh && !server.resting.empty()) {
    link->fd = std::move(server.resting.back().fd);
    server.resting.pop_back();
    link->used = true;
    if (!IsStale(link->fd.get())) return link;
    Close(link->fd);
  }
  link->used = false;
  *error = ConnectTo(server.address.address, server.address.size,
                     coroutine::After(route_.timeouts.connect), &link->fd);
  return *error == 0 ? std::move(link) : nullptr;
}

std::unique_ptr<Link> ServerList::Take(bool fresh, LinkRefusal* refusal) {
  const auto until = coroutine::After(route_.timeouts.queue);
  std::vector<const Server*> tried;
  *refusal = {};
  for (;;) {
    Server* server = Choose(tried);
    if (server == nullptr) {
      if (tried.size() == servers_.size() || !AwaitRoom(until, refusal)) return nullptr;
      continue;
    }
    // A wait for the connection's end must leave the count right, whatever ends it.
    struct Counted {
      ServerList& list;
      Server& server;
      bool kept = false;
      Counted(ServerList& l, Server& s) : list(l), server(s) { ++server.links; }
      ~Counted() {
        if (!kept) list.Forget(server);
      }
    } counted(*this, *server);
    int error = 0;
    if (std::unique_ptr<Link> link = LinkTo(*server, fresh, &error)) {
      counted.kept = true;
      return link;
    }
    if (error == ECANCELED) {
      *refusal = {};
      return nullptr;
    }
    const std::string why = Concat("cannot be connected to: ", ErrnoText(error));
    NoteFailure(*server, why);
    *refusal = {error == ETIMEDOUT ? 504 : 502, Concat(server->address.text, " ", why)};
    tried.push_back(server);
  }
}

void ServerList::Forget(Server& server) {
  --server.links;
  room_.WakeOne();
}

void ServerList::Return(std::unique_ptr<Link> link, LinkEnd end) noexcept {
  auto& server = *static_cast<Server*>(link->place);
  Forget(server);
  switch (end) {
    case LinkEnd::kKept:
      NoteAnswer(server);
      return Keep(server, std::move(link->fd));
    case LinkEnd::kClosed:
      return NoteAnswer(server);
    case LinkEnd::kFailed:
      // That a kept connection has been closed meanwhile says nothing of the server.
      if (!link->used) NoteFailure(server, "broke off");
      return;
    case LinkEnd::kAbandoned:
      return SendAbort(link->fd.get());
  }
}

std::string ServerList::NameOf(const Link& link) const {
  return static_cast<const Server*>(link.place)->address.text;
}

void ServerList::NoteFailure(Server& server, std::string_view why) {
  ++server.failures;
  const auto rest = std::min<std::chrono::seconds>(
      kFirstRest * (1U << std::min(server.failures - 1, 10U)), kLongestRest);
  server.down_until = coroutine::After(rest);
  if (servers_.size() == 1) return;
  LogWarning("route ", route_.path, ": ", server.address.text, " ", why, "; left alone for ",
             rest.count(), " s");
}

void ServerList::NoteAnswer(Server& server) {
  if (server.failures > 0 && servers_.size() > 1)
    LogInfo("route ", route_.path, ": ", server.address.text, " answers again");
  server.failures = 0;
  server.down_until = {};
}

void ServerList::Keep(Server& server, UniqueFd fd) {
  if (server.resting.size() >= settings_.keep) {
    Close(fd);
    return;
  }
  try {
    server.resting.push_back({std::move(fd), coroutine::After(settings_.idle)});
    if (closing_) return;
    coroutine::Go([this] { CloseRested(); }, {.name = "upstream keep"});
    closing_ = true;
  } catch (const std::exception&) {  // no memory: not kept, then
    if (fd) Close(fd);
  }
}

// Runs as long as connections rest.
void ServerList::CloseRested() {
  for (;;) {
    auto next = coroutine::kNoDeadline;
    const auto now = coroutine::Clock::now();
    for (const auto& server : servers_) {
      while (!server->resting.empty() && server->resting.front().until <= now) {
        Close(server->resting.front().fd);
        server->resting.pop_front();
      }
      if (!server->resting.empty()) next = std::min(next, server->resting.front().until);
    }
    if (next == coroutine::kNoDeadline) break;
    coroutine::SleepUntil(next);
  }
  closing_ = false;
}

}  // namespace cogi::server
