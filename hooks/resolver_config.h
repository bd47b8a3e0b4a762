// What resolv.conf(5), hosts(5), nsswitch.conf(5) and gai.conf(5) say, as the name hooks need it.
// Read again when a file has changed (inode, size or time of change), asked at each look-up. Reads
// of these small files do not park.
//
// COGI_RESOLV_CONF, COGI_HOSTS and COGI_NSSWITCH_CONF in the environment that the process started
// with name other files, for tests; there a nameserver may have a port: "127.0.0.1:5353",
// "[::1]:5353".
#ifndef COGI_HOOKS_RESOLVER_CONFIG_H_
#define COGI_HOOKS_RESOLVER_CONFIG_H_

#include <netinet/in.h>

#include <memory>
#include <string>
#include <vector>

namespace cogi::hooks {

// A line of the hosts file.
struct HostsLine {
  std::string address;  // as written
  std::string name;     // canonical
  std::vector<std::string> aliases;
};

// A line of gai.conf: the addresses of a network and their value.
struct AddressRule {
  in6_addr network;
  int bits;  // 0 to 128
  int value;
};

struct ResolverConfig {
  // resolv.conf
  std::string servers;  // as ares_set_servers_ports_csv() wants them
  int server_count = 0;
  std::vector<std::string> search;
  int ndots = 1;
  int timeout = 5;   // seconds, of the first try at a server
  int attempts = 2;  // how often each server is asked
  bool rotate = false;
  bool use_tcp = false;
  bool edns = false;
  bool no_bare_name = false;  // "no-tld-query": a name without a dot is never asked for as it is

  // nsswitch.conf, "hosts:": what is asked, in turn. `standard` is false where it asks for more
  // than files and dns, or says what to do by an action in brackets: then libc has to be asked.
  bool standard = true;
  std::vector<bool> sources_are_dns;  // true: dns, false: files

  std::vector<HostsLine> hosts;
  std::vector<AddressRule> labels, precedences;  // most bits first

  // How long libc would go on asking for one name, in seconds.
  [[nodiscard]] int PatienceSeconds() const;
};

// CurrentConfig() is the state of the files now. Never yields. Thread-safe.
[[nodiscard]] std::shared_ptr<const ResolverConfig> CurrentConfig();

// ParseResolvConf() and the others read one file's text into `config`; what cannot be understood is
// skipped, as libc does.
void ParseResolvConf(const std::string& text, ResolverConfig& config);
void ParseNsswitchConf(const std::string& text, ResolverConfig& config);
void ParseHosts(const std::string& text, ResolverConfig& config);
void ParseGaiConf(const std::string& text, ResolverConfig& config);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_RESOLVER_CONFIG_H_
