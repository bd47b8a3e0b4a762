// Generation: one configuration with its listeners and the slots of its workers. A reload makes a
// new one, which takes over the listeners that both have. Used by the master; never yields.
#ifndef COGI_SERVER_GENERATION_H_
#define COGI_SERVER_GENERATION_H_

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "coroutine/deadline.h"
#include "server/listener.h"
#include "server/scoreboard.h"
#include "server/tls_context.h"
#include "server/upgrade.h"

namespace cogi::server {

struct Generation {
  // Binds what neither `before` (or null) nor `handover` (or null; its listeners are taken out of
  // it) has yet. Throws StartError; then nothing has changed.
  Generation(config::Settings new_settings, const Generation* before, Handover* handover = nullptr);

  // A worker's place: its pool, its number there, and when it may be started again.
  // A worker that fails keeps its seat in the scoreboard while another one takes its slot, so there
  // are some more seats than slots.
  static constexpr size_t kSeatsPerSlot = 3;
  struct Slot {
    const std::string* pool_name;
    const config::Pool* pool;
    size_t number;
    bool occupied = false;
    std::chrono::milliseconds back_off{0};  // before the next start
    coroutine::Deadline start_at{};
  };

  // CloseListeners() closes the listeners that `other` (or null) does not have, and unlinks their
  // files.
  void CloseListeners(const Generation* other) noexcept;
  // CloseListenersBut() closes the listeners of all pools but `own`, in a worker of that one: it
  // has no business with the others'.
  void CloseListenersBut(const std::string& own) noexcept;

  config::Settings settings;
  std::map<std::string, std::vector<std::shared_ptr<Listener>>> listeners;  // by pool
  // By pool, parallel to its listeners; null where a listener has no TLS. Read anew by each reload.
  std::map<std::string, std::vector<std::shared_ptr<TlsContext>>> tls;
  Scoreboards scoreboards;
  std::vector<Slot> slots;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_GENERATION_H_
