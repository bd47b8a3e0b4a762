// A real DNS server (dnsmasq) for the tests of one process, and a proxy before it that delays,
// drops or truncates.
#ifndef COGI_TESTS_HOOKS_RESOLVER_DNS_SERVER_H_
#define COGI_TESTS_HOOKS_RESOLVER_DNS_SERVER_H_

#include <netinet/in.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace cogi::tests {

// The folder of this run's files; COGI_RESOLV_CONF, COGI_HOSTS and COGI_NSSWITCH_CONF name files in
// it.
const std::string& Folder();
void WriteFile(const std::string& name, const std::string& text);

// dnsmasq with the zone example.test (see the .cpp). Started once, ended with the process.
class DnsServer {
 public:
  static DnsServer& Get();
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  DnsServer();
  ~DnsServer();
  void Start();
  void AwaitAnswer();
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// What the proxy does to the questions that come by UDP.
enum class UdpMode { kAnswer, kDropFirst, kDropAll, kTruncate };

// DnsProxy listens on a free port, UDP and TCP, and answers after `delay_ms` what the server behind
// it says.
class DnsProxy {
 public:
  explicit DnsProxy(int delay_ms, UdpMode mode = UdpMode::kAnswer);
  ~DnsProxy();
  DnsProxy(const DnsProxy&) = delete;
  DnsProxy& operator=(const DnsProxy&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int udp_questions() const { return udp_questions_; }
  [[nodiscard]] int tcp_connections() const { return tcp_connections_; }

 private:
  struct Late {
    int64_t due_ms;
    sockaddr_in client;
    std::string message;
  };
  void Serve();
  bool FromClient();
  bool FromServer();
  void AskServer();
  void SendDue();
  void RelayTcp(int client) const;

  int delay_ms_;
  UdpMode mode_;
  uint16_t port_ = 0;
  int udp_ = -1, tcp_ = -1, upstream_ = -1;
  uint16_t next_id_ = 0;
  std::deque<Late> questions_;
  std::map<uint16_t, Late> open_;  // by the id that the server sees
  std::set<std::string> seen_;
  std::deque<Late> late_;
  std::atomic<int> udp_questions_{0}, tcp_connections_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> relays_;
  std::thread thread_;
};

}  // namespace cogi::tests

#endif  // COGI_TESTS_HOOKS_RESOLVER_DNS_SERVER_H_
