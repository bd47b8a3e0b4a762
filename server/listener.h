// Listeners: the sockets that the master binds and its workers share. Used by the master, outside
// coroutines; never yields.
#ifndef COGI_SERVER_LISTENER_H_
#define COGI_SERVER_LISTENER_H_

#include <sys/types.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "config/settings.h"
#include "server/real_calls.h"
#include "server/relay.h"

namespace cogi::server {

// StartError: why the server cannot start or reload. what() says the thing, the cause and the mend.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Listener {
 public:
  // Bind() makes the socket, binds it and listens. A unix socket file that nobody answers on is
  // replaced. Throws StartError.
  [[nodiscard]] static std::shared_ptr<Listener> Bind(const config::Listener& settings);
  // Adopt() takes over a socket that listens already (a service manager's, or the version's before
  // this one), with the relay it had.
  [[nodiscard]] static std::shared_ptr<Listener> Adopt(const config::Listener& settings, int fd,
                                                       Relay relay = Relay());
  // Closes the descriptor. The file of a unix socket stays: see Remove().
  ~Listener() = default;

  [[nodiscard]] int fd() const { return fd_.get(); }
  // address() is as the configuration writes it: what identifies a listener over a reload.
  [[nodiscard]] const std::string& address() const { return address_; }
  // shown() is address() with the port that the kernel chose for 0.
  [[nodiscard]] const std::string& shown() const { return shown_; }
  // relay() is how its kept connections go from one worker to another.
  [[nodiscard]] Relay& relay() { return relay_; }

  // Remove() unlinks the file of a unix socket if it is still the one that was bound, and not the
  // service manager's. Called when the server ends, or does without this listener after a reload.
  void Remove() noexcept;
  // Close() closes this process's descriptor: when the last process has, clients are refused
  // instead of waiting in a queue that nobody reads. The relay stays: see Relay::CloseIn().
  void Close() noexcept { fd_.Reset(); }
  // CloseAll() closes the relay too: for a process that has no business with this listener.
  void CloseAll() noexcept {
    Close();
    relay_.Close();
  }

 private:
  Listener(const config::Listener& settings, UniqueFd fd, Relay relay);
  void BindUnix(const config::Listener& settings);
  void BindTcp(const config::Listener& settings);
  // Settle() does what is left to do with a socket that listens.
  void Settle();

  UniqueFd fd_;
  Relay relay_;
  std::string address_;
  std::string shown_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool managed_ = false;  // the socket is the service manager's
};

}  // namespace cogi::server

#endif  // COGI_SERVER_LISTENER_H_
