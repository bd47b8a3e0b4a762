#include "hooks/dns_service.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <list>
#include <map>
#include <new>
#include <system_error>

#include "coroutine/coroutine.h"
#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "hooks/lock_parking.h"
#include "hooks/program_state.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

using coroutine::Deadline;
using coroutine::Scheduler;
using coroutine::WakeReason;

// The questions of one caller. Shared by it, which may leave early, and by c-ares' callbacks.
struct Request {
  std::shared_ptr<const ResolverConfig> config;
  std::vector<DnsQuestion> questions;
  size_t open = 0;
  coroutine::WaitList waiters;

  void End(size_t index, int status) noexcept {
    questions[index].status = status;
    if (--open == 0) waiters.WakeAll();
  }
  void GiveUp(int status) noexcept {
    for (DnsQuestion& question : questions) question.status = status;
    open = 0;
    waiters.WakeAll();
  }
};

// c-ares' library state, once per process.
bool LibraryReady() {
  static const bool ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ready;
}

// c-ares' own system calls are the kernel's: they never wait, and must not yield inside c-ares.
const ares_socket_functions kSocketCalls = {
    [](int family, int type, int protocol, void*) {
      return real::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    },
    [](ares_socket_t fd, void*) {
      if (Scheduler::Current() != nullptr) coroutine::ForgetFd(fd);
      return real::close(fd);
    },
    [](ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void*) {
      return real::connect(fd, address, size);
    },
    [](ares_socket_t fd, void* buffer, size_t size, int flags, sockaddr* from,
       ares_socklen_t* from_size,
       void*) -> ares_ssize_t { return real::recvfrom(fd, buffer, size, flags, from, from_size); },
    [](ares_socket_t fd, const iovec* pieces, int count, void*) -> ares_ssize_t {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces);
      message.msg_iovlen = static_cast<size_t>(count);
      return real::sendmsg(fd, &message, MSG_NOSIGNAL);
    },
};

// How many questions one channel has open: its answers share one socket, whose buffer must hold
// them, and whose port must not be the only one to guess. The next ones take another channel.
constexpr size_t kMaxOpen = 64;
constexpr size_t kMaxIdleChannels = 8;

// A c-ares channel with one configuration. No exception passes c-ares' own frames: what its
// callbacks have no memory for ends the questions with ARES_ENOMEM.
class Channel {
 public:
  explicit Channel(std::shared_ptr<const ResolverConfig> config) : config_(std::move(config)) {
    Open();
  }
  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] bool usable() const { return channel_ != nullptr; }
  [[nodiscard]] bool idle() const { return open_ == 0; }
  [[nodiscard]] bool full() const { return open_ >= kMaxOpen; }
  [[nodiscard]] const ResolverConfig* config() const { return config_.get(); }

  void Ask(const std::shared_ptr<Request>& request) {
    for (size_t i = 0; i < request->questions.size(); ++i) {
      auto* pending = new (std::nothrow) Pending{this, request, i};
      if (pending == nullptr) {
        request->End(i, ARES_ENOMEM);
        continue;
      }
      ++open_;
      DnsQuestion& question = request->questions[i];
      ares_query(channel_, question.name.c_str(), ns_c_in, question.type, &Channel::Answered,
                 pending);
    }
    FailIfBlind();
  }

  // Fail() ends all open questions with ARES_ENOMEM.
  void Fail() noexcept {
    blind_ = true;
    FailIfBlind();
  }

  void AddSockets(std::vector<pollfd>& set) const {
    for (const auto& [fd, events] : sockets_) set.push_back({fd, events, 0});
  }

  [[nodiscard]] Deadline NextDeadline() const {
    timeval wait{};
    if (ares_timeout(channel_, nullptr, &wait) == nullptr) return coroutine::kNoDeadline;
    return coroutine::After(std::chrono::seconds(wait.tv_sec) +
                            std::chrono::microseconds(wait.tv_usec));
  }

  void Process(int fd, short events) {
    if (sockets_.find(fd) == sockets_.end()) return;  // closed by what was processed just before
    const bool in = (events & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool out = (events & (POLLOUT | POLLERR | POLLHUP)) != 0;
    ares_process_fd(channel_, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    FailIfBlind();
  }
  void ProcessTimeouts() {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    FailIfBlind();
  }

 private:
  struct Pending {
    Channel* channel;
    std::shared_ptr<Request> request;
    size_t index;
  };

  void Open() {
    if (!LibraryReady()) return;
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                    (config_->use_tcp ? ARES_FLAG_USEVC : 0) | (config_->edns ? ARES_FLAG_EDNS : 0);
    options.timeout = config_->timeout * 1000;
    options.tries = config_->attempts;
    options.ndots = config_->ndots;
    char lookups[] = "b";
    options.lookups = lookups;
    char no_file[] =
        "/dev/null";  // c-ares would read resolv.conf by itself, without timeout: and attempts:
    options.resolvconf_path = no_file;
    options.sock_state_cb = &Channel::SocketChanged;
    options.sock_state_cb_data = this;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                     ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB |
                     (config_->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
    if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
      channel_ = nullptr;
      if (status == ARES_ENOMEM) throw std::bad_alloc();
      return;
    }
    ares_set_socket_functions(channel_, &kSocketCalls, nullptr);
    if (ares_set_servers_ports_csv(channel_, config_->servers.c_str()) == ARES_ENOMEM) {
      ares_destroy(channel_);  // it would have no servers
      throw std::bad_alloc();
    }
  }

  // Without its questions c-ares closes its sockets, also those that nobody watches.
  void FailIfBlind() noexcept {
    if (blind_ && channel_ != nullptr) ares_cancel(channel_);
    blind_ = false;
  }

  static void SocketChanged(void* self, ares_socket_t fd, int readable, int writable) noexcept {
    auto& channel = *static_cast<Channel*>(self);
    if (readable == 0 && writable == 0) {
      channel.sockets_.erase(fd);
      return;
    }
    try {
      channel.sockets_[fd] =
          static_cast<short>((readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0));
    } catch (const std::bad_alloc&) {
      channel.blind_ = true;
    }
  }

  static void Answered(void* argument, int status, int, unsigned char* message, int size) noexcept {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(argument));
    Channel& channel = *pending->channel;
    --channel.open_;
    if (channel.blind_) status = ARES_ENOMEM;
    Request& request = *pending->request;
    try {
      if (message != nullptr && size > 0)
        request.questions[pending->index].answer.assign(message, message + size);
    } catch (const std::bad_alloc&) {
      status = ARES_ENOMEM;
    }
    request.End(pending->index, status);
  }

  std::shared_ptr<const ResolverConfig> config_;
  ares_channel channel_ = nullptr;
  std::map<int, short> sockets_;
  size_t open_ = 0;
  bool blind_ = false;  // there was no memory to remember a socket
};

class Service {
 public:
  static Service& Here() {
    static thread_local Service service;
    return service;
  }
  ~Service() {
    if (event_fd_ >= 0) real::close(event_fd_);
  }
  Service() = default;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // False if nobody can be found to serve it. Throws std::bad_alloc.
  bool Submit(std::shared_ptr<Request> request) {
    if (event_fd_ < 0) event_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event_fd_ < 0) return false;
    if (!serving_ && (ChannelFor(request->config) == nullptr || !StartServing())) return false;
    queue_.push_back(std::move(request));
    const uint64_t one = 1;
    return real::write(event_fd_, &one, sizeof one) == sizeof one || errno == EAGAIN;
  }

 private:
  Channel* ChannelFor(const std::shared_ptr<const ResolverConfig>& config) {
    for (Channel& channel : channels_)
      if (channel.config() == config.get() && channel.usable() && !channel.full()) return &channel;
    channels_.emplace_back(config);
    return channels_.back().usable() ? &channels_.back() : nullptr;
  }

  bool StartServing() {
    try {
      Scheduler::Current()->Spawn([this] { Serve(); }, {.name = "dns", .hooks = false});
    } catch (const std::system_error& error) {
      if (error.code().value() == ENOMEM) throw std::bad_alloc();
      return false;
    }
    serving_ = true;
    return true;
  }

  // Until no question is open. Ends with its scheduler, too: then the open questions end with their
  // callers.
  void Serve() {
    struct End {
      ~End() { service->serving_ = false; }
      Service* service;
    } end{this};
    for (;;) {
      Drain();
      AskQueued();
      DropOldChannels();
      bool idle = true;
      for (const Channel& channel : channels_) idle = idle && channel.idle();
      if (idle && queue_.empty()) return;
      try {
        if (!WaitAndProcess()) return;
      } catch (const std::bad_alloc&) {
        for (Channel& channel : channels_) channel.Fail();
      }
    }
  }

  void Drain() const {
    uint64_t count = 0;
    while (real::read(event_fd_, &count, sizeof count) > 0) {
    }
  }

  void AskQueued() {
    while (!queue_.empty()) {
      const std::shared_ptr<Request> request = std::move(queue_.front());
      queue_.pop_front();
      newest_ = request->config;
      try {
        // Without a channel the question ends as one that no server answers.
        if (Channel* channel = ChannelFor(request->config); channel != nullptr)
          channel->Ask(request);
        else
          request->GiveUp(ARES_ETIMEOUT);
      } catch (const std::bad_alloc&) {
        request->GiveUp(ARES_ENOMEM);
      }
    }
  }

  // Channels with an old configuration, and idle ones beyond a few.
  void DropOldChannels() {
    size_t idle = 0;
    for (auto channel = channels_.begin(); channel != channels_.end();) {
      const bool old = channel->config() != newest_.get() || !channel->usable();
      const bool drop = channel->idle() && (old || ++idle > kMaxIdleChannels);
      channel = drop ? channels_.erase(channel) : std::next(channel);
    }
  }

  // False if the waiting was cancelled. Throws std::bad_alloc.
  bool WaitAndProcess() {
    set_.assign(1, {event_fd_, POLLIN, 0});
    Deadline deadline = coroutine::kNoDeadline;
    for (const Channel& channel : channels_) {
      channel.AddSockets(set_);
      deadline = std::min(deadline, channel.NextDeadline());
    }
    if (coroutine::PollFds(set_.data(), set_.size(), deadline) < 0) {
      if (errno == ENOMEM) throw std::bad_alloc();
      return false;
    }
    for (Channel& channel : channels_) {
      for (const pollfd& entry : set_)
        if (entry.revents != 0) channel.Process(entry.fd, entry.revents);
      channel.ProcessTimeouts();
    }
    return true;
  }

  std::list<Channel> channels_;
  std::shared_ptr<const ResolverConfig> newest_;
  std::deque<std::shared_ptr<Request>> queue_;
  std::vector<pollfd> set_;
  int event_fd_ = -1;
  bool serving_ = false;
};

WakeReason Wait(const std::shared_ptr<Request>& request) {
  const Deadline deadline =
      coroutine::After(std::chrono::seconds(request->config->PatienceSeconds()));
  while (request->open > 0) {
    request->waiters.Add(coroutine::WaitNodeOf(*coroutine::Current()));
    const WakeReason reason = coroutine::Park(coroutine::WaitKind::kName, 0, deadline);
    if (request->open > 0 && reason != WakeReason::kReady) return reason;
  }
  return WakeReason::kReady;
}

}  // namespace

WakeReason AskDns(const std::shared_ptr<const ResolverConfig>& config,
                  std::vector<DnsQuestion>& questions) {
  std::shared_ptr<Request> request;
  {
    ServerScope server;  // what the service keeps may outlive the program that asks
    request = std::make_shared<Request>();
    request->config = config;
    for (DnsQuestion& question : questions) {
      question.status = ARES_ETIMEOUT;
      question.answer.clear();
    }
    request->questions = questions;
    request->open = questions.size();
    if (!Service::Here().Submit(request)) return WakeReason::kClosed;
  }
  const WakeReason reason = Wait(request);
  if (reason == WakeReason::kReady || reason == WakeReason::kTimeout) {
    for (size_t i = 0; i < questions.size(); ++i) {
      questions[i].status = request->questions[i].status;
      questions[i].answer.swap(request->questions[i].answer);
    }
  }
  return reason;
}

}  // namespace cogi::hooks
