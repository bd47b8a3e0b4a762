// ServerList: links to FastCGI servers that somebody else runs (php-fpm): the one with the fewest
// requests of this worker is asked, those that failed are left alone for a while, and connections
// may be kept. One per route and worker.
//
// A server that cannot be connected to, or breaks off without an answer, is left out for a second,
// doubling to half a minute while it goes on so; if all are, the one whose time is up first is
// asked all the same. So a single server is always asked.
#ifndef COGI_SERVER_UPSTREAM_SERVER_LIST_H_
#define COGI_SERVER_UPSTREAM_SERVER_LIST_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "coroutine/coroutine.h"
#include "coroutine/wait.h"
#include "server/upstream/link.h"

namespace cogi::server {

class ServerList final : public LinkSource {
 public:
  // `route` must outlive it.
  explicit ServerList(const config::Route& route);

  std::unique_ptr<Link> Take(bool fresh, LinkRefusal* refusal) override;
  void Return(std::unique_ptr<Link> link, LinkEnd end) noexcept override;
  [[nodiscard]] std::string NameOf(const Link& link) const override;
  [[nodiscard]] bool keeps() const override { return settings_.keep > 0; }

 private:
  struct Resting {
    UniqueFd fd;
    coroutine::Deadline until;
  };
  struct Server {
    UpstreamAddress address;
    uint32_t links = 0;           // that requests have
    std::deque<Resting> resting;  // kept connections; the last one rests the shortest
    uint32_t failures = 0;        // in a row
    coroutine::Deadline down_until{};
  };

  Server* Choose(const std::vector<const Server*>& tried);
  [[nodiscard]] bool HasRoom(const Server& server) const;
  bool AwaitRoom(coroutine::Deadline until, LinkRefusal* refusal);
  std::unique_ptr<Link> LinkTo(Server& server, bool fresh, int* error);
  void Forget(Server& server);
  void NoteFailure(Server& server, std::string_view why);
  void NoteAnswer(Server& server);
  void Keep(Server& server, UniqueFd fd);
  void CloseRested();

  const config::Route& route_;
  const config::Upstream& settings_;
  std::vector<std::unique_ptr<Server>> servers_;
  size_t next_ = 0;  // of servers that have equally little to do
  coroutine::WaitList room_;
  bool closing_ = false;  // a coroutine closes connections that have rested long enough
};

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_SERVER_LIST_H_
