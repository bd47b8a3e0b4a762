#include "tests/hooks/resolver/dns_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

extern char** environ;

namespace cogi::tests {

namespace {

// The library reads where its files are when it is loaded: the process starts itself again with
// that set.
__attribute__((constructor)) void StartAgainWithFolder(int, char** arguments, char**) {
  if (getenv("COGI_RESOLV_CONF") != nullptr) return;
  char folder[] = "/tmp/cogi-dns-XXXXXX";
  if (mkdtemp(folder) == nullptr) abort();
  const std::string base = folder;
  setenv("COGI_TEST_FOLDER", folder, 1);
  setenv("COGI_RESOLV_CONF", (base + "/resolv.conf").c_str(), 1);
  setenv("COGI_HOSTS", (base + "/hosts").c_str(), 1);
  setenv("COGI_NSSWITCH_CONF", (base + "/nsswitch.conf").c_str(), 1);
  execv("/proc/self/exe", arguments);
  abort();
}

class RemoveFolder : public testing::Environment {
 public:
  void TearDown() override { std::filesystem::remove_all(Folder()); }
};
[[maybe_unused]] const testing::Environment* const g_remove =
    testing::AddGlobalTestEnvironment(new RemoveFolder);

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

sockaddr_in Local(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// A bound socket; `port` 0: any, which is written back.
int Bound(int type, uint16_t& port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address = Local(port);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

uint16_t FreePort() {
  uint16_t port = 0;
  close(Bound(SOCK_STREAM, port));
  return port;
}

// Names for the many; a name whose answer is too long for UDP; one with several addresses.
std::string HostsOfServer() {
  std::string text;
  for (int i = 0; i < 500; ++i)
    text +=
        "192.0.2." + std::to_string(i % 250 + 1) + " host" + std::to_string(i) + ".example.test\n";
  for (int i = 1; i <= 60; ++i) text += "198.51.100." + std::to_string(i) + " long.example.test\n";
  for (int i = 1; i <= 3; ++i) {
    text += "192.0.2.2" + std::to_string(i) + " many.example.test\n";
    text += "2001:db8::2" + std::to_string(i) + " many.example.test\n";
  }
  return text;
}

// Whether a DNS server answers there: it is asked for the addresses of www.example.test.
bool Answers(uint16_t port) {
  constexpr char kQuestion[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\4test\0\0\1\0\1";
  constexpr size_t kSize = sizeof kQuestion - 1;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Local(port);
  const timeval patience{0, 50'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char answer[512];
  const bool answered =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(fd, kQuestion, kSize, 0) == static_cast<ssize_t>(kSize) &&
      recv(fd, answer, sizeof answer, 0) > static_cast<ssize_t>(kSize) &&
      memcmp(answer, kQuestion, 2) == 0;
  close(fd);
  return answered;
}

uint16_t IdOf(const std::string& message) {
  return static_cast<uint16_t>(static_cast<uint8_t>(message[0]) << 8 |
                               static_cast<uint8_t>(message[1]));
}
void SetId(std::string& message, uint16_t id) {
  message[0] = static_cast<char>(id >> 8);
  message[1] = static_cast<char>(id);
}

// The header and the question only, with the TC bit.
void Truncate(std::string& message) {
  size_t end = 12;
  while (end < message.size() && message[end] != 0) end += static_cast<uint8_t>(message[end]) + 1u;
  message.resize(std::min(message.size(), end + 5));
  message[2] = static_cast<char>(message[2] | 2);
  memset(message.data() + 6, 0, 6);
}

bool ReadFully(int fd, char* buffer, size_t size) {
  for (size_t got = 0; got < size;) {
    const ssize_t piece = read(fd, buffer + got, size - got);
    if (piece <= 0) return false;
    got += static_cast<size_t>(piece);
  }
  return true;
}

// One message with its length before it.
bool ReadMessage(int fd, std::string& message) {
  char length[2];
  if (!ReadFully(fd, length, 2)) return false;
  message.assign(length, 2);
  message.resize(2 + (static_cast<size_t>(static_cast<uint8_t>(length[0])) << 8 |
                      static_cast<uint8_t>(length[1])));
  return ReadFully(fd, message.data() + 2, message.size() - 2);
}

}  // namespace

const std::string& Folder() {
  static const std::string folder = getenv("COGI_TEST_FOLDER");
  return folder;
}

void WriteFile(const std::string& name, const std::string& text) {
  // A new file each time: it differs in its inode even within one tick of the clock.
  const std::string path = Folder() + '/' + name;
  std::ofstream(path + ".new") << text;
  rename((path + ".new").c_str(), path.c_str());
}

DnsServer& DnsServer::Get() {
  static DnsServer server;
  return server;
}

// A port that is free now may be another's when the server comes to it: then it ends, and the next
// one is tried.
DnsServer::DnsServer() {
  WriteFile("server-hosts", HostsOfServer());
  for (int i = 0; i < 10 && pid_ <= 0; ++i) {
    port_ = FreePort();
    Start();
    AwaitAnswer();
  }
}

void DnsServer::AwaitAnswer() {
  for (int i = 0; i < 1000 && pid_ > 0 && !Answers(port_); ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    usleep(10'000);
  }
}

void DnsServer::Start() {
  std::vector<std::string> words = {"dnsmasq",
                                    "--keep-in-foreground",
                                    "--conf-file=/dev/null",
                                    "--port=" + std::to_string(port_),
                                    "--listen-address=127.0.0.1",
                                    "--bind-interfaces",
                                    "--no-resolv",
                                    "--no-hosts",
                                    "--no-round-robin",
                                    "--pid-file",
                                    "--user=",
                                    "--addn-hosts=" + Folder() + "/server-hosts",
                                    "--local=/test/",
                                    "--host-record=www.example.test,192.0.2.10,2001:db8::10",
                                    "--host-record=v4.example.test,192.0.2.11",
                                    "--host-record=v6.example.test,2001:db8::12",
                                    "--host-record=www.other.test,192.0.2.40",
                                    "--host-record=bare,192.0.2.50",
                                    "--cname=alias.example.test,www.example.test",
                                    "--txt-record=nodata.example.test,text"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (posix_spawnp(&pid_, "dnsmasq", nullptr, nullptr, arguments.data(), environ) != 0) pid_ = -1;
}

DnsServer::~DnsServer() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

DnsProxy::DnsProxy(int delay_ms, UdpMode mode) : delay_ms_(delay_ms), mode_(mode) {
  for (int i = 0; i < 20 && (udp_ < 0 || tcp_ < 0); ++i) {
    if (udp_ >= 0) close(udp_);
    port_ = 0;
    udp_ = Bound(SOCK_DGRAM, port_);
    tcp_ = Bound(SOCK_STREAM, port_);
  }
  // Hundreds of questions may come before this thread gets its turn. Without the right to force it,
  // what the system allows has to do.
  const int room = 4 << 20;
  if (setsockopt(udp_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(udp_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  listen(tcp_, 512);
  upstream_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in server = Local(DnsServer::Get().port());
  EXPECT_EQ(connect(upstream_, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0);
  thread_ = std::thread([this] { Serve(); });
}

DnsProxy::~DnsProxy() {
  stop_ = true;
  thread_.join();
  for (std::thread& relay : relays_) relay.join();
  close(udp_);
  close(tcp_);
  close(upstream_);
}

void DnsProxy::Serve() {
  while (!stop_) {
    const int64_t wait = late_.empty() ? 20 : std::max<int64_t>(0, late_.front().due_ms - NowMs());
    pollfd set[] = {{udp_, POLLIN, 0}, {upstream_, POLLIN, 0}, {tcp_, POLLIN, 0}};
    poll(set, 3, static_cast<int>(std::min<int64_t>(wait, 20)));
    while (FromClient()) {
    }
    while (FromServer()) {
    }
    AskServer();
    if ((set[2].revents & POLLIN) != 0) {
      const int client = accept(tcp_, nullptr, nullptr);
      ++tcp_connections_;
      relays_.emplace_back([this, client] { RelayTcp(client); });
    }
    SendDue();
  }
}

bool DnsProxy::FromClient() {
  char buffer[4096];
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const ssize_t got = recvfrom(udp_, buffer, sizeof buffer, MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 12) return false;
  ++udp_questions_;
  std::string message(buffer, static_cast<size_t>(got));
  if (mode_ == UdpMode::kDropAll) return true;
  if (mode_ == UdpMode::kDropFirst && seen_.insert(message.substr(12)).second) return true;
  questions_.push_back({NowMs() + delay_ms_, from, std::move(message)});
  return true;
}

// A few at a time, so that no socket's buffer overflows.
void DnsProxy::AskServer() {
  constexpr size_t kAtOnce = 50;
  for (; !questions_.empty() && open_.size() < kAtOnce; questions_.pop_front()) {
    Late& question = questions_.front();
    const uint16_t id = next_id_++;
    std::string message = question.message;
    SetId(message, id);
    open_[id] = std::move(question);
    send(upstream_, message.data(), message.size(), 0);
  }
}

bool DnsProxy::FromServer() {
  char buffer[4096];
  const ssize_t got = recv(upstream_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 12) return false;
  std::string message(buffer, static_cast<size_t>(got));
  const auto found = open_.find(IdOf(message));
  if (found == open_.end()) return true;
  SetId(message, IdOf(found->second.message));
  if (mode_ == UdpMode::kTruncate) Truncate(message);
  late_.push_back({found->second.due_ms, found->second.client, std::move(message)});
  open_.erase(found);
  return true;
}

void DnsProxy::SendDue() {
  for (; !late_.empty() && late_.front().due_ms <= NowMs(); late_.pop_front()) {
    const Late& one = late_.front();
    sendto(udp_, one.message.data(), one.message.size(), 0,
           reinterpret_cast<const sockaddr*>(&one.client), sizeof one.client);
  }
}

// Questions may follow each other without waiting (RFC 7766 6.2.1.1): each answer comes after its
// own delay.
void DnsProxy::RelayTcp(int client) const {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Local(DnsServer::Get().port());
  std::deque<std::pair<int64_t, std::string>> answers;
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  while (open) {
    const int64_t wait =
        answers.empty() ? -1 : std::max<int64_t>(answers.front().first - NowMs(), 0);
    pollfd question{client, POLLIN, 0};
    if (poll(&question, 1, static_cast<int>(wait)) > 0) {
      std::string message;
      open = ReadMessage(client, message) && write(server, message.data(), message.size()) > 0 &&
             ReadMessage(server, message);
      if (open) answers.emplace_back(NowMs() + delay_ms_, message);
    }
    for (; open && !answers.empty() && answers.front().first <= NowMs(); answers.pop_front())
      open = write(client, answers.front().second.data(), answers.front().second.size()) > 0;
  }
  close(server);
  close(client);
}

}  // namespace cogi::tests
