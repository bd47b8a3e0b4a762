// How several workers share a listener. Each has it in its epoll, level-triggered, with
// EPOLLEXCLUSIVE: a new connection wakes one worker that waits, none that is busy. The kernel asks
// them in the order in which they registered, so without more the first would get nearly all.
// Therefore
// - a worker takes few connections a turn and then registers again, which puts it behind the
//   others;
// - a worker that has clearly more connections than the mean of its pool leaves the listener for a
//   moment before it takes the next.
#include "server/acceptor.h"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/connection.h"
#include "server/log.h"
#include "server/worker.h"

namespace cogi::server {
namespace {

constexpr int kAcceptsPerTurn = 4;
constexpr std::chrono::milliseconds kExhaustedPause{100};
// Without a free place: how often it is looked whether somebody waits for one.
constexpr std::chrono::milliseconds kFullPause{500};
constexpr std::chrono::milliseconds kAside{2};

}  // namespace

Acceptor::Acceptor(Worker& worker, Source source, const config::Listener& settings,
                   std::shared_ptr<Listener> listener, const TlsContext* tls)
    : worker_(worker),
      source_(source),
      listener_(std::move(listener)),
      entrance_{settings, *listener_, tls} {
  for (const std::string& block : settings.allow)
    if (!allowed_.Add(block))
      throw StartError(Concat("listener ", listener_->address(), ": \"", block,
                              "\" is no address and no block of addresses"));
}

void Acceptor::Start() {
  coroutine_ = coroutine::Go([this] { Run(); }, {.name = "accept"});
}

void Acceptor::Stop(bool drain_queue) {
  stopping_ = true;
  drain_queue_ = drain_queue;
  if (coroutine_ != nullptr) coroutine::Cancel(*coroutine_);
}

int Acceptor::fd() const {
  return source_ == Source::kListener ? listener_->fd() : listener_->relay().in();
}

void Acceptor::Run() {
  const int fd = this->fd();
  Register();
  while (!stopping_) {
    AwaitPlace();
    const auto reason = coroutine::WaitFd(fd, EPOLLIN, coroutine::kNoDeadline);
    if (reason == coroutine::WakeReason::kNoMemory) Register();
    if (reason != coroutine::WakeReason::kReady) continue;
    StepAside();
    AcceptTurn();
  }
  while (drain_queue_ && worker_.HasPlace() && TakeOne() == Taken::kOne) {
  }
  coroutine::UnregisterFd(fd);
  if (source_ == Source::kListener) {
    listener_->Close();
  } else {
    listener_->relay().CloseIn();
  }
  coroutine_ = nullptr;
}

// An epoll that has no room for the listener is asked again: waited for in any other way, it would
// be found ready again and again.
void Acceptor::Register() {
  while (const int error = coroutine::RegisterExclusive(fd())) {
    if (stopping_) return;
    Exhausted(ErrnoText(error));
    coroutine::SleepFor(kExhaustedPause);
  }
}

void Acceptor::AcceptTurn() {
  for (int taken = 0; taken < kAcceptsPerTurn && !stopping_ && worker_.HasPlace(); ++taken) {
    switch (TakeOne()) {
      case Taken::kOne:
        continue;
      case Taken::kNone:
        return Requeue();
      case Taken::kExhausted:
        // Other workers may still have room: leave the listener to them meanwhile.
        coroutine::UnregisterFd(fd());
        coroutine::SleepFor(kExhaustedPause);
        return Register();
    }
  }
  Requeue();
}

// A connection for which there is no memory is closed; whoever accepts has to live.
Acceptor::Taken Acceptor::TakeOne() {
  try {
    return source_ == Source::kListener ? AcceptOne() : ReceiveOne();
  } catch (const std::exception& exception) {
    Count(worker_.counters().accept_failures);
    static LogLimiter limiter;
    limiter.Log(Level::kError, "a connection was closed at once: ", exception.what());
    return Taken::kExhausted;
  }
}

Acceptor::Taken Acceptor::AcceptOne() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  UniqueFd fd(Real().accept4(listener_->fd(), reinterpret_cast<sockaddr*>(&peer), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EAGAIN) return Taken::kNone;
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
      return Taken::kOne;  // that one connection failed before it was taken (accept(2))
    return Exhausted(ErrnoText(errno));
  }
  Count(worker_.counters().accepted);
  if (!allowed_.empty() && !allowed_.Contains(peer)) {
    Count(worker_.counters().refused);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "refused ", HostOf(peer), ": not allowed on ",
                listener_->address());
    return Taken::kOne;
  }
  cgi::ConnectionInfo info = Connection::InfoOf(entrance_.settings, fd.get(), peer);
  return Serve(std::move(fd), std::move(info));
}

Acceptor::Taken Acceptor::ReceiveOne() {
  UniqueFd fd;
  cgi::ConnectionInfo info;
  switch (listener_->relay().Receive(fd, info)) {
    case Relay::Result::kDone:
      return Serve(std::move(fd), std::move(info));
    case Relay::Result::kDropped:
      LogWarning("a kept connection of ", listener_->address(), " could not be taken over");
      return Taken::kOne;
    case Relay::Result::kExhausted:
      return Exhausted("no descriptor is free");
    default:
      return Taken::kNone;
  }
}

Acceptor::Taken Acceptor::Exhausted(std::string_view why) {
  Count(worker_.counters().accept_failures);
  worker_.CloseLongestIdle();
  static LogLimiter limiter;
  limiter.Log(Level::kError, "no connection can be accepted on ", listener_->address(), ": ", why,
              "; trying again in 100 ms");
  return Taken::kExhausted;
}

Acceptor::Taken Acceptor::Serve(UniqueFd fd, cgi::ConnectionInfo info) {
  auto connection = std::make_shared<Connection>(worker_, entrance_, std::move(fd), std::move(info),
                                                 source_ == Source::kRelay);
  if (!connection->AdmitAddress()) {
    Count(worker_.counters().refused);
    static LogLimiter limiter;
    limiter.Log(Level::kWarning, "refused ", connection->remote_address(),
                ": it has as many connections as one address may");
    return Taken::kOne;
  }
  coroutine::Go([connection] { connection->Serve(); }, worker_.spawn_options());
  return Taken::kOne;
}

void Acceptor::AwaitPlace() {
  if (worker_.HasPlace() || stopping_) return;
  static LogLimiter limiter;
  limiter.Log(Level::kWarning, "the limit of connections is reached; new ones wait in the kernel");
  coroutine::UnregisterFd(fd());
  while (!worker_.HasPlace() && !stopping_) {
    if (SomebodyWaits()) worker_.CloseLongestIdle();
    coroutine::Coroutine* self = coroutine::Current();
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
    node.coroutine = self;
    place_free_.Add(node);
    coroutine::Park(coroutine::WaitKind::kAdmission, 0, coroutine::After(kFullPause));
  }
  Register();
}

bool Acceptor::SomebodyWaits() const {
  pollfd poll_fd{fd(), POLLIN, 0};
  return Real().poll(&poll_fd, 1, 0) == 1;
}

void Acceptor::StepAside() {
  if (!worker_.HasMoreThanItsShare()) return;
  coroutine::UnregisterFd(fd());
  coroutine::SleepFor(kAside);
  Register();
}

void Acceptor::Requeue() {
  if (!worker_.shares_listeners() || stopping_) return;
  coroutine::UnregisterFd(fd());
  Register();
}

}  // namespace cogi::server
