// Acceptor: takes connections from one listener for one worker, in a coroutine of its own. The
// listener is shared with the other workers; what keeps the load even between them is said in
// acceptor.cpp. Running out of descriptors is waited out, never spun on.
#ifndef COGI_SERVER_ACCEPTOR_H_
#define COGI_SERVER_ACCEPTOR_H_

#include <memory>

#include "config/settings.h"
#include "coroutine/coroutine.h"
#include "coroutine/wait.h"
#include "server/address.h"
#include "server/entrance.h"
#include "server/listener.h"

namespace cogi::server {

class Worker;

class Acceptor {
 public:
  // `tls` is null for a listener without TLS. All must outlive the acceptor.
  Acceptor(Worker& worker, const config::Listener& settings, std::shared_ptr<Listener> listener,
           const TlsContext* tls);
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
  void AcceptTurn();
  Taken AcceptOne();
  void AwaitPlace();
  void StepAside();
  void Requeue();

  Worker& worker_;
  const Entrance entrance_;
  std::shared_ptr<Listener> listener_;
  AddressBlocks allowed_;
  coroutine::Coroutine* coroutine_ = nullptr;
  coroutine::WaitList place_free_;
  bool stopping_ = false;
  bool drain_queue_ = false;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_ACCEPTOR_H_
