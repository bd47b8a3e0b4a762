// DNS servers for test_clients.py: dnsmasq, and proxies before it.
//
//   hooks_dns_proxies answers|drops|truncates
//
// Prints the addresses for resolv.conf on one line, in the order in which they are to be asked, and
// serves until its standard input ends. Every answer takes 100 ms. "drops": the first server
// answers no question by UDP; "truncates": no answer by UDP is whole.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "tests/hooks/resolver/dns_server.h"

using cogi::tests::DnsProxy;
using cogi::tests::UdpMode;

int main(int argc, char** argv) {
  constexpr int kDelayMs = 100;
  const char* how = argc > 1 ? argv[1] : "answers";
  {
    std::unique_ptr<DnsProxy> silent;
    if (strcmp(how, "drops") == 0) silent = std::make_unique<DnsProxy>(0, UdpMode::kDropAll);
    const DnsProxy answering(kDelayMs,
                             strcmp(how, "truncates") == 0 ? UdpMode::kTruncate : UdpMode::kAnswer);
    if (silent != nullptr) printf("%s ", silent->address().c_str());
    printf("%s\n", answering.address().c_str());
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  }
  std::filesystem::remove_all(cogi::tests::Folder());
  return 0;
}
