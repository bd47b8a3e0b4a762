// BodyClock: how long a body may still be waited for. Only the time that is spent waiting for the
// peer counts, so that a slow handler does not make its client look slow.
#ifndef COGI_CGI_BODY_CLOCK_H_
#define COGI_CGI_BODY_CLOCK_H_

#include <algorithm>
#include <chrono>

#include "cgi/byte_stream.h"
#include "cgi/limits.h"

namespace cogi::cgi {

class BodyClock {
 public:
  // Start() begins with the terms as they are at each wait: a router may still change them.
  void Start(const Terms& terms) {
    terms_ = &terms;
    waited_ = {};
    received_ = 0;
  }

  // Read() runs `read`, which reads from `stream` and returns as ByteStream::Read(), under the
  // deadline for the next piece. Returns what it returned. May yield.
  template <typename ReadCall>
  ssize_t Read(ByteStream& stream, ReadCall read) {
    const Deadline begin = std::chrono::steady_clock::now();
    stream.SetReadDeadline(Until(begin));
    const ssize_t got = read();
    Waited(begin, got > 0 ? static_cast<uint64_t>(got) : 0);
    return got;
  }

  // Until() is how long the next piece may be waited for from `begin` on. Waited() says that the
  // wait has ended now, and how many bytes it brought.
  [[nodiscard]] Deadline Until(Deadline begin) const { return begin + Patience(); }
  void Waited(Deadline begin, uint64_t bytes) {
    waited_ += std::chrono::steady_clock::now() - begin;
    received_ += bytes;
  }

 private:
  using Duration = std::chrono::steady_clock::duration;

  [[nodiscard]] Duration Patience() const {
    Duration idle = terms_->body_idle;
    if (terms_->body_min_rate == 0) return idle;
    const std::chrono::duration<double> earned(static_cast<double>(received_) /
                                               static_cast<double>(terms_->body_min_rate));
    const std::chrono::duration<double> owed = waited_ - earned;
    if (owed.count() <= 0) return idle;
    return std::max(Duration::zero(), idle - std::chrono::duration_cast<Duration>(owed));
  }

  const Terms* terms_ = nullptr;
  Duration waited_{};
  uint64_t received_ = 0;
};

}  // namespace cogi::cgi

#endif  // COGI_CGI_BODY_CLOCK_H_
