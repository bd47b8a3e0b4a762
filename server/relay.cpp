// A message is one descriptor and a line of text: a version, both ports, both addresses. Old and
// new versions of this program read each other's during an upgrade; a message of a version that is
// not known closes its connection.
#include "server/relay.h"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "server/listener.h"
#include "server/text.h"

namespace cogi::server {
namespace {

constexpr std::string_view kVersion = "1";
constexpr size_t kMaxMessage = 256;

// Appends words to a buffer; allocates nothing.
class Writer {
 public:
  void Add(std::string_view word) {
    if (word.size() + 1 > sizeof text_ - size_) word = {};
    std::memcpy(text_ + size_, word.data(), word.size());
    size_ += word.size();
    text_[size_++] = ' ';
  }
  void Add(uint16_t number) {
    char digits[8];
    Add({digits,
         static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, number).ptr - digits)});
  }
  [[nodiscard]] iovec piece() { return {text_, size_}; }

 private:
  char text_[kMaxMessage];
  size_t size_ = 0;
};

// Takes words off the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  std::string_view Word() {
    const size_t end = text_.find(' ');
    if (end == std::string_view::npos) {
      complete_ = false;
      return {};
    }
    const std::string_view word = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return word;
  }
  uint16_t Number() {
    const std::string_view word = Word();
    uint16_t number = 0;
    std::from_chars(word.data(), word.data() + word.size(), number);
    return number;
  }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  std::string_view text_;
  bool complete_ = true;
};

union Control {
  cmsghdr header;  // for its alignment
  char bytes[CMSG_SPACE(sizeof(int))];
};

// A descriptor that comes when none is free is lost: the kernel closes it.
bool OneIsFree(int any) {
  const UniqueFd probe(Real().dup(any));
  return static_cast<bool>(probe);
}

}  // namespace

Relay::Relay() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    throw StartError(Concat("no socket pair for kept connections: ", ErrnoText(errno)));
  in_.Reset(ends[0]);
  out_.Reset(ends[1]);
}

Relay::Result Relay::Send(int fd, const cgi::ConnectionInfo& info) const noexcept {
  Writer writer;
  writer.Add(kVersion);
  writer.Add(info.remote_port);
  writer.Add(info.server_port);
  writer.Add(info.remote_address);
  writer.Add(info.server_address);
  iovec piece = writer.piece();
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  for (;;) {
    if (Real().sendmsg(out_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
      return Result::kDone;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: too many descriptors of this user are on their way.
    const bool full =
        errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
    return full ? Result::kFull : Result::kGone;
  }
}

Relay::Result Relay::Receive(UniqueFd& fd, cgi::ConnectionInfo& info) const {
  if (!OneIsFree(in_.get())) return Result::kExhausted;
  char text[kMaxMessage];
  iovec piece{text, sizeof text};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t got = Real().recvmsg(in_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got <= 0) return Result::kEmpty;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return Result::kDropped;
  int received = -1;
  std::memcpy(&received, CMSG_DATA(header), sizeof received);
  fd.Reset(received);
  Reader reader({text, static_cast<size_t>(got)});
  if (reader.Word() != kVersion) return Result::kDropped;
  info.remote_port = reader.Number();
  info.server_port = reader.Number();
  info.remote_address = reader.Word();
  info.server_address = reader.Word();
  return reader.complete() ? Result::kDone : Result::kDropped;
}

}  // namespace cogi::server
