#include "hooks/resolver_config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "hooks/program_state.h"
#include "hooks/real.h"

namespace cogi::hooks {

namespace {

// The files, each with the environment variable that names another.
struct Source {
  const char* variable;
  const char* path;
  void (*parse)(const std::string& text, ResolverConfig& config);
};
Source g_sources[] = {
    {"COGI_RESOLV_CONF", "/etc/resolv.conf", ParseResolvConf},
    {"COGI_NSSWITCH_CONF", "/etc/nsswitch.conf", ParseNsswitchConf},
    {"COGI_HOSTS", "/etc/hosts", ParseHosts},
    {nullptr, "/etc/gai.conf", ParseGaiConf},
};
constexpr size_t kSources = std::size(g_sources);
constexpr size_t kMaxFile = 16 << 20;  // bytes; a hosts file may be long

// What resolver(5) takes from the environment.
std::string g_local_domain, g_resolver_options;

__attribute__((constructor(103))) void ReadEnvironment(int, char**, char** environment) {
  if (getauxval(AT_SECURE) != 0) return;
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const char* equals = strchr(*entry, '=');
    if (equals == nullptr) continue;
    const std::string name(*entry, static_cast<size_t>(equals - *entry));
    for (Source& source : g_sources) {
      if (source.variable != nullptr && name == source.variable) source.path = strdup(equals + 1);
    }
    if (name == "LOCALDOMAIN") g_local_domain = equals + 1;
    if (name == "RES_OPTIONS") g_resolver_options = equals + 1;
  }
}

// What tells that a file has changed.
struct Stamp {
  ino_t inode = 0;
  off_t size = -1;  // -1: there is no such file
  timespec changed{};
  bool operator==(const Stamp& other) const {
    return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
  }
};

Stamp StampOf(const char* path) {
  struct stat status {};
  if (real::stat(path, &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_mtim};
}

std::string ReadFile(const char* path) {
  std::string text;
  const int fd = static_cast<int>(real::syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path),
                                                O_RDONLY | O_CLOEXEC, 0, 0, 0));
  if (fd < 0) return text;
  char piece[4096];
  for (;;) {
    const ssize_t got = real::read(fd, piece, sizeof piece);
    if (got <= 0 || text.size() > kMaxFile) break;
    text.append(piece, static_cast<size_t>(got));
  }
  real::close(fd);
  return text;
}

// The default tables of RFC 3484 as libc has them, for lines that gai.conf does not have.
struct DefaultRule {
  const char* network;
  int bits, value;
};
constexpr DefaultRule kLabels[] = {{"::1", 128, 0},  {"2002::", 16, 2}, {"fec0::", 10, 5},
                                   {"fc00::", 7, 6}, {"2001::", 32, 7}, {"::ffff:0:0", 96, 4},
                                   {"::", 96, 3},    {"::", 0, 1}};
constexpr DefaultRule kPrecedences[] = {
    {"::1", 128, 50}, {"2002::", 16, 30}, {"::ffff:0:0", 96, 10}, {"::", 96, 20}, {"::", 0, 40}};

template <size_t count>
void FillRules(const DefaultRule (&rules)[count], std::vector<AddressRule>& into) {
  if (!into.empty()) return;
  for (const DefaultRule& rule : rules) {
    AddressRule made{{}, rule.bits, rule.value};
    inet_pton(AF_INET6, rule.network, &made.network);
    into.push_back(made);
  }
}

void Sort(std::vector<AddressRule>& rules) {
  std::stable_sort(rules.begin(), rules.end(),
                   [](const AddressRule& a, const AddressRule& b) { return a.bits > b.bits; });
}

std::shared_ptr<const ResolverConfig> Load() {
  auto config = std::make_shared<ResolverConfig>();
  for (const Source& source : g_sources) source.parse(ReadFile(source.path), *config);
  FillRules(kLabels, config->labels);
  FillRules(kPrecedences, config->precedences);
  Sort(config->labels);
  Sort(config->precedences);
  return config;
}

std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words;
  size_t at = 0;
  for (;;) {
    at = line.find_first_not_of(" \t\r\f\v", at);
    if (at == std::string::npos) return words;
    const size_t end = std::min(line.find_first_of(" \t\r\f\v", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
}

// Calls `each` with the words of every line that has some; `comments` begin a comment, anywhere in
// the line.
template <class Each>
void ForEachLine(const std::string& text, const char* comments, Each each) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    line.resize(std::min(line.find_first_of(comments), line.size()));
    const std::vector<std::string> words = Words(line);
    if (!words.empty()) each(words);
    at = end + 1;
  }
}

// The number after `prefix` in an option such as "ndots:3", at most `most`; -1 if it is another
// option.
int OptionNumber(const std::string& option, const char* prefix, int most) {
  if (option.rfind(prefix, 0) != 0) return -1;
  const int number = atoi(option.c_str() + strlen(prefix));
  return number < 0 ? 0 : std::min(number, most);
}

void SetOption(const std::string& option, ResolverConfig& config) {
  // The limits of <resolv.h>: RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY.
  if (const int ndots = OptionNumber(option, "ndots:", 15); ndots >= 0) config.ndots = ndots;
  if (const int timeout = OptionNumber(option, "timeout:", 30); timeout >= 0)
    config.timeout = std::max(timeout, 1);
  if (const int attempts = OptionNumber(option, "attempts:", 5); attempts >= 0)
    config.attempts = std::max(attempts, 1);
  if (option == "rotate") config.rotate = true;
  if (option == "use-vc") config.use_tcp = true;
  if (option == "edns0") config.edns = true;
  if (option == "no-tld-query") config.no_bare_name = true;
}

void AddServer(const std::string& server, ResolverConfig& config) {
  constexpr int kMaxServers = 3;  // libc's MAXNS
  if (config.server_count == kMaxServers) return;
  if (!config.servers.empty()) config.servers += ',';
  const bool plain_v6 = server[0] != '[' && server.find(':') != server.rfind(':');
  config.servers += plain_v6 ? '[' + server + ']' : server;
  ++config.server_count;
}

// Without "search" or "domain" it is the host's own domain.
void AddOwnDomain(ResolverConfig& config) {
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) != 0) return;
  const char* dot = strchr(name, '.');
  if (dot != nullptr && dot[1] != '\0') config.search.emplace_back(dot + 1);
}

}  // namespace

void ParseResolvConf(const std::string& text, ResolverConfig& config) {
  ForEachLine(text, "#;", [&](const std::vector<std::string>& words) {
    if (words.size() < 2) return;
    if (words[0] == "nameserver") AddServer(words[1], config);
    if (words[0] == "domain") config.search = {words[1]};
    if (words[0] == "search") config.search.assign(words.begin() + 1, words.end());
    if (words[0] == "options") {
      for (size_t i = 1; i < words.size(); ++i) SetOption(words[i], config);
    }
  });
  for (const std::string& option : Words(g_resolver_options)) SetOption(option, config);
  if (!g_local_domain.empty()) config.search = Words(g_local_domain);
  if (config.search.empty()) AddOwnDomain(config);
  if (config.server_count == 0) AddServer("127.0.0.1", config);
}

void ParseNsswitchConf(const std::string& text, ResolverConfig& config) {
  std::vector<std::string> sources = {"files", "dns"};  // libc's default
  ForEachLine(text, "#", [&](const std::vector<std::string>& words) {
    if (words[0].rfind("hosts:", 0) != 0) return;
    sources.assign(words.begin() + 1, words.end());
    if (words[0].size() > strlen("hosts:"))
      sources.insert(sources.begin(), words[0].substr(strlen("hosts:")));
  });
  for (const std::string& source : sources) {
    if (source != "files" && source != "dns") config.standard = false;
    config.sources_are_dns.push_back(source == "dns");
  }
}

void ParseHosts(const std::string& text, ResolverConfig& config) {
  ForEachLine(text, "#", [&](const std::vector<std::string>& words) {
    if (words.size() < 2) return;
    config.hosts.push_back({words[0], words[1], {words.begin() + 2, words.end()}});
  });
}

void ParseGaiConf(const std::string& text, ResolverConfig& config) {
  ForEachLine(text, "#", [&](const std::vector<std::string>& words) {
    if (words.size() != 3 || (words[0] != "label" && words[0] != "precedence")) return;
    const size_t slash = words[1].find('/');
    AddressRule rule{{},
                     slash == std::string::npos ? 128 : atoi(words[1].c_str() + slash + 1),
                     atoi(words[2].c_str())};
    if (inet_pton(AF_INET6, words[1].substr(0, slash).c_str(), &rule.network) != 1) return;
    if (rule.bits < 0 || rule.bits > 128) return;
    (words[0] == "label" ? config.labels : config.precedences).push_back(rule);
  });
}

int ResolverConfig::PatienceSeconds() const {
  int once = 0;
  for (int server = 0; server < server_count; ++server) {
    const int wait = timeout << server;
    once += std::max(server == 0 ? wait : wait / server_count, 1);
  }
  return once * attempts;
}

namespace {

class ConfigLock {
 public:
  ConfigLock() { real::pthread_mutex_lock(&mutex_); }
  ~ConfigLock() { real::pthread_mutex_unlock(&mutex_); }
  ConfigLock(const ConfigLock&) = delete;
  ConfigLock& operator=(const ConfigLock&) = delete;

 private:
  static inline constinit pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

}  // namespace

std::shared_ptr<const ResolverConfig> CurrentConfig() {
  static std::shared_ptr<const ResolverConfig> current;
  static Stamp stamps[kSources];
  ServerScope server;  // it outlives the program that asks
  Stamp now[kSources];
  for (size_t i = 0; i < kSources; ++i) now[i] = StampOf(g_sources[i].path);
  const ConfigLock lock;
  if (current == nullptr || !std::equal(now, now + kSources, stamps)) {
    current = Load();
    std::copy(now, now + kSources, stamps);
  }
  return current;
}

}  // namespace cogi::hooks
