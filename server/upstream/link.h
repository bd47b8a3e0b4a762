// Link: a connection to a FastCGI application, borrowed from a LinkSource for one request. One
// thread.
#ifndef COGI_SERVER_UPSTREAM_LINK_H_
#define COGI_SERVER_UPSTREAM_LINK_H_

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "coroutine/deadline.h"
#include "server/real_calls.h"

namespace cogi::server {

// Where an application listens.
struct UpstreamAddress {
  sockaddr_storage address{};
  socklen_t size = 0;
  std::string text;  // for logs: "unix:/run/app.sock", "127.0.0.1:9000"
};

struct Link {
  Link() = default;
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  UniqueFd fd;        // non-blocking
  bool used = false;  // has carried a request before: the application may be closing it just now
  void* place = nullptr;  // where the source keeps count of it
};

// How the use of a link ended.
enum class LinkEnd : uint8_t {
  kKept,       // the answer is complete; the connection may carry another request
  kClosed,     // the answer is complete; the connection is of no more use
  kFailed,     // the application's fault: it broke off, or sent what is no FastCGI
  kAbandoned,  // ours: the client has gone or the time is up, and the application still works
};

// Why there is no link: the status to answer (0: the request was cancelled meanwhile) and the words
// for the log.
struct LinkRefusal {
  int status = 0;
  std::string reason;
};

class LinkSource {
 public:
  virtual ~LinkSource() = default;

  // Take() gives a link to the application that has the least to do, `fresh` a new one. Null with
  // `*refusal` if there is none. May yield.
  [[nodiscard]] virtual std::unique_ptr<Link> Take(bool fresh, LinkRefusal* refusal) = 0;
  // Return() takes it back. Never yields.
  virtual void Return(std::unique_ptr<Link> link, LinkEnd end) noexcept = 0;

  // NameOf() is the application at the other end, for logs.
  [[nodiscard]] virtual std::string NameOf(const Link& link) const = 0;
  // Whether requests ask the application to keep the connection (FCGI_KEEP_CONN).
  [[nodiscard]] virtual bool keeps() const = 0;
  // What SCRIPT_FILENAME is without a root: the executable, or "" if that is not known.
  [[nodiscard]] virtual std::string executable() const { return {}; }
};

// Lease returns its link at the end of a block as abandoned, unless that was done before.
class Lease {
 public:
  Lease(LinkSource& source, std::unique_ptr<Link> link) : source_(source), link_(std::move(link)) {}
  ~Lease() { Return(LinkEnd::kAbandoned); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  [[nodiscard]] explicit operator bool() const { return link_ != nullptr; }
  [[nodiscard]] const Link& operator*() const { return *link_; }
  [[nodiscard]] const Link* operator->() const { return link_.get(); }
  void Return(LinkEnd end) {
    if (link_ != nullptr) source_.Return(std::move(link_), end);
  }

 private:
  LinkSource& source_;
  std::unique_ptr<Link> link_;
};

// ConnectTo() connects a new non-blocking socket. Returns 0, or an errno (ETIMEDOUT after
// `deadline`, ECANCELED). May yield.
[[nodiscard]] int ConnectTo(const sockaddr_storage& address, socklen_t size,
                            coroutine::Deadline deadline, UniqueFd* fd);

// IsStale() tells whether the other end of a connection that rests has closed it, or sent what
// nobody asked for. Never yields.
[[nodiscard]] bool IsStale(int fd);

// SendAbort() tells the application that nobody waits for the answer any more (FastCGI 5.4), as far
// as that can be sent without waiting.
void SendAbort(int fd);

}  // namespace cogi::server

#endif  // COGI_SERVER_UPSTREAM_LINK_H_
