// Acceptor: takes connections for one worker, in a coroutine of its own: new ones from a listener,
// or kept ones from the listener's relay. Both are shared with the other workers; what keeps the
// load even between them is said in acceptor.cpp. Running out of descriptors is waited out, never
// spun on.
#ifndef COGI_SERVER_ACCEPTOR_H_
#define COGI_SERVER_ACCEPTOR_H_

#include <memory>
#include <string>

#include "cgi/connection_info.h"
#include "config/settings.h"
#include "coroutine/coroutine.h"
#include "coroutine/wait.h"
#include "server/address.h"
#include "server/entrance.h"
#include "server/listener.h"
#include "server/real_calls.h"

namespace cogi::server {

class Worker;

class Acceptor {
 public:
  enum class Source : uint8_t { kListener, kRelay };

  // `tls` is null for a listener without TLS. All must outlive the acceptor.
  Acceptor(Worker& worker, Source source, const config::Listener& settings,
           std::shared_ptr<Listener> listener, const TlsContext* tls);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Start() spawns the coroutine. Stop() ends it; with `drain_queue` after it has taken the
  // connections that the kernel holds already (they would be reset otherwise when the last worker
  // leaves).
  void Start();
  void Stop(bool drain_queue);
  // PlaceFree() tells that a connection has ended.
  void PlaceFree() { place_free_.WakeOne(); }

 private:
  enum class Taken { kOne, kNone, kExhausted };

  void Run();
  void Register();
  void AcceptTurn();
  [[nodiscard]] int fd() const;
  Taken TakeOne();
  Taken AcceptOne();
  Taken ReceiveOne();
  Taken Exhausted(std::string_view why);
  Taken Serve(UniqueFd fd, cgi::ConnectionInfo info);
  void AwaitPlace();
  [[nodiscard]] bool SomebodyWaits() const;
  void StepAside();
  void Requeue();

  Worker& worker_;
  const Source source_;
  std::shared_ptr<Listener> listener_;
  const Entrance entrance_;
  AddressBlocks allowed_;
  coroutine::Coroutine* coroutine_ = nullptr;
  coroutine::WaitList place_free_;
  bool stopping_ = false;
  bool drain_queue_ = false;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ACCEPTOR_H_
