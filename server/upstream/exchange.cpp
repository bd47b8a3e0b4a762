#include "server/upstream/exchange.h"

#include <sys/socket.h>

#include <cerrno>

#include "coroutine/event_loop.h"
#include "coroutine/scheduler.h"
#include "server/real_calls.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr size_t kBuffer = 16 * 1024;

}  // namespace

UpstreamExchange::Step UpstreamExchange::Fail(std::string_view why) {
  failure_ = why;
  return Step::kFailed;
}

// Sends as much as the connection takes. An error is remembered only: the application may have
// answered without reading everything.
void UpstreamExchange::Send() {
  while (send_error_ == 0 && !feed_.pending().empty()) {
    const std::string_view pending = feed_.pending();
    iovec piece{const_cast<char*>(pending.data()), pending.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    const ssize_t sent = Real().sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      feed_.Sent(static_cast<size_t>(sent));
      sent_ = true;
    } else if (errno == EAGAIN) {
      return coroutine::MarkDrained(fd_, EPOLLOUT);
    } else if (errno != EINTR) {
      send_error_ = errno;
    }
  }
}

UpstreamExchange::Step UpstreamExchange::Broken(int error) {
  if (error != 0) return Fail(ErrnoText(error));
  return Fail(answered_ ? "closed the connection in the middle of its answer"
                        : "closed the connection without an answer");
}

// Takes what has come. Sends on what is complete when no more is there for the moment.
UpstreamExchange::Step UpstreamExchange::Receive() {
  bool more = !coroutine::KnownDrained(fd_, EPOLLIN);
  while (more) {
    if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<char[]>(kBuffer);
    const ssize_t got = Real().read(fd_, buffer_.get(), kBuffer);
    if (got > 0) {
      if (static_cast<size_t>(got) < kBuffer) {
        coroutine::MarkShortRead(fd_);
        more = !coroutine::KnownDrained(fd_, EPOLLIN);
      }
      const Step step = Take({buffer_.get(), static_cast<size_t>(got)});
      if (step != Step::kOn) return step;
      coroutine::ChargeCall();
    } else if (got < 0 && errno == EAGAIN) {
      coroutine::MarkDrained(fd_, EPOLLIN);
      more = false;
    } else if (got == 0 || errno != EINTR) {
      return Broken(got == 0 ? 0 : errno);
    }
  }
  if (!answered_) buffer_.reset();
  if (response_.body_bytes() > 0 && !response_.Flush()) return Step::kAbandoned;
  return Step::kOn;
}

UpstreamExchange::Step UpstreamExchange::Take(std::string_view bytes) {
  answered_ = true;
  while (!bytes.empty()) {
    bytes.remove_prefix(receiver_.Push(bytes, *this));
    if (receiver_.error() != nullptr) return Fail(receiver_.error());
    if (client_gone_) return Step::kAbandoned;
    if (output_.header().state() == cgi::CgiHeaderParser::State::kBad)
      return Fail(output_.header().error());
    if (!ended_) continue;
    // What is sent after the answer, or before the request was complete, is no sound connection.
    reusable_ = bytes.empty() && receiver_.idle() && send_error_ == 0 && feed_.done() &&
                feed_.pending().empty() && !response_.body_cut();
    return Step::kComplete;
  }
  return Step::kOn;
}

void UpstreamExchange::OnStdout(uint16_t, std::string_view bytes) {
  client_gone_ = !output_.Take(bytes, true);
}

void UpstreamExchange::OnStderr(uint16_t, std::string_view bytes) { errors_.Take(bytes); }

void UpstreamExchange::OnEnd(uint16_t, uint32_t app_status, cgi::fcgi::ProtocolStatus status) {
  ended_ = true;
  app_status_ = app_status;
  protocol_status_ = status;
}

UpstreamExchange::End UpstreamExchange::Run(int fd) {
  fd_ = fd;
  receiver_.Reset();
  receiver_.Open(RequestFeed::kId);
  for (;;) {
    Send();
    switch (Receive()) {
      case Step::kOn:
        break;
      case Step::kComplete:
        return End::kComplete;
      case Step::kFailed:
        return End::kFailed;
      case Step::kAbandoned:
        return End::kAbandoned;
    }
    const bool sending = send_error_ == 0;
    if (sending && feed_.pending().empty() && !feed_.done()) {
      if (!feed_.Refill()) return End::kAbandoned;
      continue;
    }
    const uint32_t wanted =
        EPOLLIN | EPOLLRDHUP | (sending && !feed_.pending().empty() ? uint32_t{EPOLLOUT} : 0U);
    if (coroutine::WaitFd(fd_, wanted, coroutine::kNoDeadline) != coroutine::WakeReason::kReady)
      return End::kAbandoned;
  }
}

}  // namespace cogi::server
