#include "server/generation.h"

#include <utility>

#include "config/load.h"
#include "server/service_manager.h"

namespace cogi::server {
namespace {

std::shared_ptr<Listener> FindListener(const Generation* generation, const std::string& address) {
  if (generation == nullptr) return nullptr;
  for (const auto& [pool, listeners] : generation->listeners)
    for (const auto& listener : listeners)
      if (listener->address() == address) return listener;
  return nullptr;
}

// A socket that listens already: of the version before this one, or of the service manager.
std::shared_ptr<Listener> TakeOver(const config::Listener& wanted, Handover* before) {
  if (before != nullptr) {
    const auto found = before->listeners.find(config::FormatListener(wanted));
    if (found != before->listeners.end()) {
      const Handover::Listener open = before->listeners.extract(found).mapped();
      return Listener::Adopt(wanted, open.fd, Relay(open.relay_in, open.relay_out));
    }
  }
  const int inherited = TakeInheritedSocket(wanted);
  return inherited < 0 ? nullptr : Listener::Adopt(wanted, inherited);
}

}  // namespace

Generation::Generation(config::Settings new_settings, const Generation* before, Handover* handover)
    : settings(std::move(new_settings)) {
  for (const auto& [name, pool] : settings.pools) {
    auto& bound = listeners[name];
    for (const config::Listener& wanted : pool.listen) {
      tls[name].push_back(wanted.protocol == config::Protocol::kHttps
                              ? std::make_shared<TlsContext>(wanted.tls)
                              : nullptr);
      auto listener = FindListener(before, config::FormatListener(wanted));
      if (!listener) listener = TakeOver(wanted, handover);
      bound.push_back(listener ? std::move(listener) : Listener::Bind(wanted));
    }
    scoreboards[name] = std::make_unique<Scoreboard>(pool.workers * kSeatsPerSlot);
    for (size_t number = 0; number < pool.workers; ++number)
      slots.push_back({.pool_name = &name, .pool = &pool, .number = number});
  }
}

void Generation::CloseListeners(const Generation* other) noexcept {
  for (const auto& [pool, bound] : listeners)
    for (const auto& listener : bound)
      if (FindListener(other, listener->address()) == nullptr) {
        listener->Remove();
        listener->CloseAll();
      }
}

void Generation::CloseListenersBut(const std::string& own) noexcept {
  for (const auto& [pool, bound] : listeners)
    if (pool != own)
      for (const auto& listener : bound) listener->CloseAll();
}

}  // namespace cogi::server
