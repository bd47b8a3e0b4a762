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

}  // namespace

Generation::Generation(config::Settings new_settings, const Generation* before)
    : settings(std::move(new_settings)) {
  for (const auto& [name, pool] : settings.pools) {
    auto& bound = listeners[name];
    for (const config::Listener& wanted : pool.listen) {
      auto listener = FindListener(before, config::FormatListener(wanted));
      if (!listener)
        if (const int inherited = TakeInheritedSocket(wanted); inherited >= 0)
          listener = Listener::Adopt(wanted, inherited);
      bound.push_back(listener ? std::move(listener) : Listener::Bind(wanted));
    }
    scoreboards[name] = std::make_unique<Scoreboard>(pool.workers);
    for (size_t number = 0; number < pool.workers; ++number)
      slots.push_back({.pool_name = &name, .pool = &pool, .number = number});
  }
}

void Generation::CloseListeners(const Generation* other) noexcept {
  for (const auto& [pool, bound] : listeners)
    for (const auto& listener : bound)
      if (FindListener(other, listener->address()) == nullptr) {
        listener->Remove();
        listener->Close();
      }
}

}  // namespace cogi::server
