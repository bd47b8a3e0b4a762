#include "hooks/resolver_lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <strings.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "coroutine/wait.h"
#include "hooks/dns_service.h"

namespace cogi::hooks {

namespace {

using coroutine::WakeReason;
using ConfigPtr = std::shared_ptr<const ResolverConfig>;

bool SameName(const std::string& a, const std::string& b) {
  return strcasecmp(a.c_str(), b.c_str()) == 0;
}

// The address of a hosts line as seen by a question for `family`: for IPv4 also mapped addresses
// and ::1.
bool ParseAddress(const std::string& text, int family, HostAddress& address) {
  address = {};
  if (family != AF_INET6 && inet_pton(AF_INET, text.c_str(), &address.bytes) == 1) return true;
  if (inet_pton(AF_INET6, text.c_str(), &address.bytes) != 1) return false;
  address.family = AF_INET6;
  if (family != AF_INET) return true;
  in_addr v4{};
  if (IN6_IS_ADDR_V4MAPPED(&address.bytes))
    memcpy(&v4, address.bytes.s6_addr + 12, sizeof v4);
  else if (IN6_IS_ADDR_LOOPBACK(&address.bytes))
    v4.s_addr = htonl(INADDR_LOOPBACK);
  else
    return false;
  address = {};
  memcpy(&address.bytes, &v4, sizeof v4);
  return true;
}

bool IsCalled(const HostsLine& line, const std::string& name) {
  return SameName(line.name, name) ||
         std::any_of(line.aliases.begin(), line.aliases.end(),
                     [&](const std::string& alias) { return SameName(alias, name); });
}

// All lines with the name count, as with several addresses of one host; the first gives the
// canonical name.
HostAnswer SearchHosts(const ResolverConfig& config, const std::string& name, int family) {
  HostAnswer answer;
  for (const HostsLine& line : config.hosts) {
    HostAddress address;
    if (!IsCalled(line, name) || !ParseAddress(line.address, family, address)) continue;
    if (answer.addresses.empty()) {
      answer.name = line.name;
      answer.failure = 0;
    } else if (!SameName(line.name, answer.name)) {
      answer.aliases.push_back(line.name);
    }
    answer.aliases.insert(answer.aliases.end(), line.aliases.begin(), line.aliases.end());
    answer.addresses.push_back(address);
  }
  return answer;
}

bool SameAddress(const HostAddress& a, const HostAddress& b) {
  return a.family == b.family && memcmp(&a.bytes, &b.bytes, a.family == AF_INET ? 4 : 16) == 0;
}

HostAnswer SearchHosts(const ResolverConfig& config, const HostAddress& wanted) {
  HostAnswer answer;
  for (const HostsLine& line : config.hosts) {
    HostAddress address;
    if (!ParseAddress(line.address, wanted.family, address) || !SameAddress(address, wanted))
      continue;
    answer.failure = 0;
    answer.name = line.name;
    answer.aliases = line.aliases;
    answer.addresses = {wanted};
    break;
  }
  return answer;
}

// As h_errno for a question that brought no data.
int FailureOf(int status) {
  switch (status) {
    case ARES_ENODATA:
      return NO_DATA;
    case ARES_ENOTFOUND:
      return HOST_NOT_FOUND;
    case ARES_EFORMERR:
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
      return NO_RECOVERY;
    case ARES_ENOMEM:
      return NETDB_INTERNAL;
    default:
      return TRY_AGAIN;  // no server answered, or none was willing
  }
}

void Merge(const hostent* host, int family, HostAnswer& answer) {
  if (answer.name.empty() && host->h_name != nullptr) {
    answer.name = host->h_name;
    for (char** alias = host->h_aliases; *alias != nullptr; ++alias)
      answer.aliases.emplace_back(*alias);
  }
  for (char** bytes = host->h_addr_list; *bytes != nullptr; ++bytes) {
    HostAddress address;
    address.family = family;
    memcpy(&address.bytes, *bytes, family == AF_INET ? 4 : 16);
    answer.addresses.push_back(address);
  }
}

struct FreeHost {
  void operator()(hostent* host) const { ares_free_hostent(host); }
};
using HostPtr = std::unique_ptr<hostent, FreeHost>;

// Takes the addresses out of one answer. Returns the status of the question after that.
int Parse(const DnsQuestion& question, HostAnswer& answer) {
  if (question.status != ARES_SUCCESS) return question.status;
  hostent* parsed = nullptr;
  const int size = static_cast<int>(question.answer.size());
  const bool v4 = question.type == ns_t_a;
  const int status =
      v4 ? ares_parse_a_reply(question.answer.data(), size, &parsed, nullptr, nullptr)
         : ares_parse_aaaa_reply(question.answer.data(), size, &parsed, nullptr, nullptr);
  if (status != ARES_SUCCESS) return status;
  const HostPtr host(parsed);
  if (host->h_addr_list[0] == nullptr) return ARES_ENODATA;
  Merge(host.get(), v4 ? AF_INET : AF_INET6, answer);
  return ARES_SUCCESS;
}

// Ends a look-up that was not answered: cancelled, or without a service.
bool Ended(WakeReason reason, HostAnswer& answer) {
  if (reason == WakeReason::kReady || reason == WakeReason::kTimeout) return false;
  answer = {};
  answer.failure = NETDB_INTERNAL;
  answer.error = ECANCELED;
  answer.ask_libc = reason == WakeReason::kClosed;
  return true;
}

// One full name, both types at once. `servfail` is set if the failure was a server's SERVFAIL.
HostAnswer AskName(const ConfigPtr& config, const std::string& name, int family, bool& servfail) {
  std::vector<DnsQuestion> questions;
  if (family != AF_INET6) questions.push_back({name, ns_t_a, 0, {}});
  if (family != AF_INET) questions.push_back({name, ns_t_aaaa, 0, {}});
  HostAnswer answer;
  if (Ended(AskDns(config, questions), answer)) return answer;
  std::vector<int> statuses;
  for (const DnsQuestion& question : questions) statuses.push_back(Parse(question, answer));
  if (std::find(statuses.begin(), statuses.end(), ARES_ENOMEM) != statuses.end()) {
    answer = {};  // half of the addresses would be a wrong answer
    answer.failure = NETDB_INTERNAL;
    answer.error = ENOMEM;
    return answer;
  }
  if (!answer.addresses.empty()) {
    answer.failure = 0;
    return answer;
  }
  const int status = statuses[0] == ARES_ENODATA ? statuses.back() : statuses[0];
  servfail = status == ARES_ESERVFAIL;
  answer.failure = FailureOf(status);
  return answer;
}

// The search of resolver(3): as it is first if it has enough dots, then with each domain, then as
// it is.
class DnsSearch {
 public:
  DnsSearch(ConfigPtr config, const std::string& name, int family)
      : config_(std::move(config)), name_(name), family_(family) {}

  HostAnswer Run() {
    const auto dots = std::count(name_.begin(), name_.end(), '.');
    const bool absolute = !name_.empty() && name_.back() == '.';
    bool tried = false;
    int first_failure = 0;
    if (dots >= config_->ndots || absolute) {
      if (Try(name_) || absolute || Over()) return answer_;
      first_failure = answer_.failure;
      tried = true;
    }
    bool searched = false, root = false;
    for (const std::string& domain : config_->search) {
      searched = true;
      const bool is_root = domain.find_first_not_of('.') == std::string::npos;
      root = root || is_root;
      if (Try(is_root ? name_ : name_ + '.' + domain) || Over()) return answer_;
      no_data_ = no_data_ || answer_.failure == NO_DATA;
      if (answer_.failure == NO_RECOVERY) break;
      if (answer_.failure == TRY_AGAIN && !servfail_) break;
      any_servfail_ = any_servfail_ || servfail_;
    }
    if (!tried && !root && (dots > 0 || !searched || !config_->no_bare_name)) {
      if (Try(name_) || Over()) return answer_;
    }
    if (answer_.failure != TRY_AGAIN) answer_.last_was_answered = true;
    if (first_failure != 0)
      answer_.failure = first_failure;
    else if (no_data_)
      answer_.failure = NO_DATA;
    else if (any_servfail_)
      answer_.failure = TRY_AGAIN;
    return answer_;
  }

 private:
  bool Try(const std::string& name) {
    servfail_ = false;
    answer_ = AskName(config_, name, family_, servfail_);
    return answer_.failure == 0;
  }
  [[nodiscard]] bool Over() const { return answer_.failure == NETDB_INTERNAL; }

  ConfigPtr config_;
  std::string name_;
  int family_;
  HostAnswer answer_;
  bool servfail_ = false, any_servfail_ = false, no_data_ = false;
};

// The name under in-addr.arpa or ip6.arpa.
std::string ReverseName(const HostAddress& address) {
  std::string name;
  const uint8_t* bytes = address.bytes.s6_addr;
  if (address.family == AF_INET) {
    for (int i = 3; i >= 0; --i) name += std::to_string(bytes[i]) + '.';
    return name + "in-addr.arpa";
  }
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = 15; i >= 0; --i) {
    for (const int nibble : {bytes[i] & 15, bytes[i] >> 4}) {
      name += kDigits[nibble];
      name += '.';
    }
  }
  return name + "ip6.arpa";
}

HostAnswer AskReverse(const ConfigPtr& config, HostAddress address) {
  HostAnswer answer;
  if (address.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.bytes)) {
    memmove(&address.bytes, address.bytes.s6_addr + 12, 4);
    address.family = AF_INET;
  }
  std::vector<DnsQuestion> questions = {{ReverseName(address), ns_t_ptr, 0, {}}};
  if (Ended(AskDns(config, questions), answer)) return answer;
  hostent* parsed = nullptr;
  int status = questions[0].status;
  if (status == ARES_SUCCESS) {
    const int bytes = address.family == AF_INET ? 4 : 16;
    status = ares_parse_ptr_reply(questions[0].answer.data(),
                                  static_cast<int>(questions[0].answer.size()), &address.bytes,
                                  bytes, address.family, &parsed);
  }
  const HostPtr host(parsed);
  if (status != ARES_SUCCESS) {
    answer.failure = FailureOf(status);
    answer.error = answer.failure == NETDB_INTERNAL ? ENOMEM : 0;
    return answer;
  }
  answer.failure = 0;
  answer.name = host->h_name;
  for (char** alias = host->h_aliases; *alias != nullptr; ++alias) {
    if (!SameName(*alias, answer.name))
      answer.aliases.emplace_back(*alias);  // c-ares repeats the name there
  }
  answer.addresses = {address};
  return answer;
}

template <class Files, class Dns>
HostAnswer AskSources(const ResolverConfig& config, Files files, Dns dns) {
  HostAnswer answer;
  for (const bool is_dns : config.sources_are_dns) {
    answer = is_dns ? dns() : files();
    if (answer.failure == 0 || answer.failure == NETDB_INTERNAL) break;
  }
  return answer;
}

// What libc's DNS module says before it asks: of a name that is none, and of an address that is
// none.
HostAnswer AskDnsForName(const ConfigPtr& config, const std::string& name, int family) {
  HostAnswer answer;
  if (name.empty()) answer.failure = NO_RECOVERY;
  if (name.empty() || res_hnok(name.c_str()) == 0) return answer;
  if (family == AF_INET && LooksNumeric(name.c_str())) return answer;
  return DnsSearch(config, name, family).Run();
}

}  // namespace

bool LooksNumeric(const char* name) {
  const size_t length = strlen(name);
  if (length == 0 || name[0] == '.') return false;
  if (strspn(name, "0123456789.") == length) return name[length - 1] != '.';
  return strspn(name, "0123456789abcdefABCDEF:.") == length && strchr(name, ':') != nullptr;
}

HostAnswer LookUpName(const std::string& name, int family) {
  const ConfigPtr config = CurrentConfig();
  return AskSources(
      *config, [&] { return SearchHosts(*config, name, family); },
      [&] { return AskDnsForName(config, name, family); });
}

HostAnswer LookUpAddress(const HostAddress& address) {
  const ConfigPtr config = CurrentConfig();
  return AskSources(
      *config, [&] { return SearchHosts(*config, address); },
      [&] { return AskReverse(config, address); });
}

bool NeedsLibc(const char* name) {
  if (!CurrentConfig()->standard || getenv("HOSTALIASES") != nullptr) return true;
  for (; name != nullptr && *name != '\0'; ++name) {
    if (static_cast<unsigned char>(*name) >= 0x80) return true;
  }
  return false;
}

}  // namespace cogi::hooks
