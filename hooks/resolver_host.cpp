// gethostbyname() and its family, gethostbyaddr(), getnameinfo(). The results of the calls that
// return a pointer to static data are the calling coroutine's own, until its next call.
#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include "coroutine/scheduler.h"
#include "hooks/calls.h"
#include "hooks/helper_pool.h"
#include "hooks/program_state.h"
#include "hooks/real.h"
#include "hooks/resolver_lookup.h"

namespace cogi::hooks {

namespace {

// Fills a caller's buffer from the front, each piece aligned.
class BufferWriter {
 public:
  BufferWriter(char* buffer, size_t size) : at_(buffer), end_(buffer + size) {}

  // Null if the room is used up.
  void* Take(size_t size, size_t alignment) {
    const size_t padding = -reinterpret_cast<uintptr_t>(at_) & (alignment - 1);
    if (static_cast<size_t>(end_ - at_) < padding + size) return nullptr;
    at_ += padding;
    void* taken = at_;
    at_ += size;
    return taken;
  }
  char* Text(const std::string& text) {
    auto* copy = static_cast<char*>(Take(text.size() + 1, 1));
    return copy == nullptr ? nullptr
                           : static_cast<char*>(memcpy(copy, text.c_str(), text.size() + 1));
  }

 private:
  char* at_;
  char* end_;
};

// Lays `answer` out in the caller's buffer. False: it is too small.
bool Fill(const HostAnswer& answer, int family, BufferWriter buffer, hostent* host) {
  const size_t length = family == AF_INET ? 4 : 16;
  auto** addresses = static_cast<char**>(
      buffer.Take((answer.addresses.size() + 1) * sizeof(char*), alignof(char*)));
  auto** aliases =
      static_cast<char**>(buffer.Take((answer.aliases.size() + 1) * sizeof(char*), alignof(char*)));
  if (addresses == nullptr || aliases == nullptr) return false;
  *host = {nullptr, aliases, family, static_cast<int>(length), addresses};
  for (const HostAddress& address : answer.addresses) {
    void* bytes = buffer.Take(length, alignof(in_addr));
    if (bytes == nullptr) return false;
    *addresses++ = static_cast<char*>(memcpy(bytes, &address.bytes, length));
  }
  *addresses = nullptr;
  if ((host->h_name = buffer.Text(answer.name)) == nullptr) return false;
  for (const std::string& alias : answer.aliases) {
    if ((*aliases++ = buffer.Text(alias)) == nullptr) return false;
  }
  *aliases = nullptr;
  return true;
}

// The outcome of a ..._r call, as libc gives it.
int Deliver(const HostAnswer& answer, int family, hostent* host, char* buffer, size_t size,
            hostent** result, int* failure) {
  *result = nullptr;
  *failure = answer.failure;
  if (answer.failure == NETDB_INTERNAL) return errno = answer.error;
  if (answer.failure == TRY_AGAIN && !answer.last_was_answered) return errno = EAGAIN;
  if (answer.failure != 0) return 0;
  if (!Fill(answer, family, BufferWriter(buffer, size), host)) {
    *failure = NETDB_INTERNAL;
    return errno = ERANGE;
  }
  *result = host;
  return 0;
}

// The real call on a helper thread: `call` fills a buffer that is large enough, the answer is taken
// from there.
template <class RealLookUp>
HostAnswer OnHelper(RealLookUp call) {
  auto answer = std::make_shared<HostAnswer>();
  const coroutine::WakeReason reason = RunOnHelper(coroutine::WaitKind::kName, 0, [answer, call] {
    hostent host{}, *result = nullptr;
    std::vector<char> buffer(8192);
    while (call(&host, buffer.data(), buffer.size(), &result, &answer->failure) == ERANGE)
      buffer.resize(2 * buffer.size());
    if (result == nullptr) {
      answer->error = errno;
      return;
    }
    answer->failure = 0;
    answer->name = host.h_name;
    for (char** alias = host.h_aliases; *alias != nullptr; ++alias)
      answer->aliases.emplace_back(*alias);
    for (char** bytes = host.h_addr_list; *bytes != nullptr; ++bytes) {
      HostAddress address;
      address.family = host.h_addrtype;
      memcpy(&address.bytes, *bytes, static_cast<size_t>(host.h_length));
      answer->addresses.push_back(address);
    }
  });
  if (reason == coroutine::WakeReason::kReady) return *answer;
  HostAnswer none;
  none.failure = NETDB_INTERNAL;
  none.error = reason == coroutine::WakeReason::kClosed ? ENOMEM : ECANCELED;
  return none;
}

// libc's answer where there is no memory.
HostAnswer NoMemory() {
  HostAnswer none;
  none.failure = NETDB_INTERNAL;
  none.error = ENOMEM;
  return none;
}

HostAnswer FindByName(const char* name, int family) try {
  HostAnswer answer;
  if (!NeedsLibc(name))
    answer = LookUpName(name, family);
  else
    answer.ask_libc = true;
  if (!answer.ask_libc) return answer;
  const std::string wanted = name;
  return OnHelper(
      [wanted, family](hostent* host, char* buffer, size_t size, hostent** result, int* failure) {
        return real::gethostbyname2_r(wanted.c_str(), family, host, buffer, size, result, failure);
      });
} catch (const std::bad_alloc&) {
  return NoMemory();
}

HostAnswer FindByAddress(const HostAddress& address) try {
  HostAnswer answer;
  if (!NeedsLibc(nullptr))
    answer = LookUpAddress(address);
  else
    answer.ask_libc = true;
  if (!answer.ask_libc) return answer;
  return OnHelper(
      [address](hostent* host, char* buffer, size_t size, hostent** result, int* failure) {
        return real::gethostbyaddr_r(&address.bytes, address.family == AF_INET ? 4 : 16,
                                     address.family, host, buffer, size, result, failure);
      });
} catch (const std::bad_alloc&) {
  return NoMemory();
}

// What gethostbyname() returned to one coroutine.
struct StaticResult {
  hostent host{};
  std::vector<char> buffer;
};

// Those of this thread's coroutines. Entries of coroutines that have ended are dropped now and
// then.
StaticResult& ResultOf(const coroutine::Coroutine& self) {
  static thread_local std::unordered_map<uint64_t, std::unique_ptr<StaticResult>> results;
  static thread_local size_t sweep_at = 64;
  ServerScope server;
  if (results.size() >= sweep_at) {
    std::unordered_map<uint64_t, std::unique_ptr<StaticResult>> kept;
    coroutine::Scheduler::Current()->ForEach([&](coroutine::Coroutine& one) {
      const auto found = results.find(coroutine::Id(one));
      if (found != results.end()) kept.emplace(found->first, std::move(found->second));
    });
    results.swap(kept);
    sweep_at = std::max<size_t>(64, 2 * results.size());
  }
  std::unique_ptr<StaticResult>& result = results[coroutine::Id(self)];
  if (result == nullptr) result = std::make_unique<StaticResult>();
  return *result;
}

hostent* DeliverStatic(const HostAnswer& answer, int family) try {
  h_errno = answer.failure;
  if (answer.failure == NETDB_INTERNAL) errno = answer.error;
  if (answer.failure != 0) return nullptr;
  StaticResult& result = ResultOf(*coroutine::Current());
  ServerScope server;
  if (result.buffer.empty()) result.buffer.resize(1024);
  while (
      !Fill(answer, family, BufferWriter(result.buffer.data(), result.buffer.size()), &result.host))
    result.buffer.resize(2 * result.buffer.size());
  return &result.host;
} catch (const std::bad_alloc&) {
  h_errno = NETDB_INTERNAL;
  errno = ENOMEM;
  return nullptr;
}

bool KnownFamily(int family) { return family == AF_INET || family == AF_INET6; }

HostAddress AddressOf(const void* bytes, int family) {
  HostAddress address;
  address.family = family;
  memcpy(&address.bytes, bytes, family == AF_INET ? 4 : 16);
  return address;
}

bool ValidAddress(const void* bytes, socklen_t size, int family) {
  return bytes != nullptr &&
         ((family == AF_INET && size == 4) || (family == AF_INET6 && size == 16));
}

// A mapped address is answered as the IPv4 address that it is.
int FamilyOf(const HostAnswer& answer, int asked) {
  return answer.addresses.empty() ? asked : answer.addresses[0].family;
}

hostent* ByAddress(const void* bytes, socklen_t size, int family) {
  // Invalid arguments, and the unspecified address, for which libc never asks.
  if (!ValidAddress(bytes, size, family)) return real::gethostbyaddr(bytes, size, family);
  CallRecord record(Call::gethostbyaddr, 0);
  const HostAnswer answer = FindByAddress(AddressOf(bytes, family));
  hostent* host = DeliverStatic(answer, FamilyOf(answer, family));
  record.Done(host != nullptr ? 0 : -1);
  return host;
}

bool HasName(const sockaddr* address, socklen_t size, HostAddress& found) {
  if (address == nullptr) return false;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    found = AddressOf(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr, AF_INET);
    return true;
  }
  if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    found = AddressOf(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, AF_INET6);
    // libc looks up a mapped address as the IPv4 address it is.
    if (IN6_IS_ADDR_V4MAPPED(&found.bytes)) found = AddressOf(found.bytes.s6_addr + 12, AF_INET);
    return true;
  }
  return false;
}

// NI_NOFQDN takes the local domain, that of the host's name, off a name. Yields.
void CutDomain(std::string& name) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) return;
  std::string own = host;
  if (own.find('.') == std::string::npos) own = LookUpName(host, AF_UNSPEC).name;
  own.erase(0, std::min(own.find('.'), own.size()));
  if (!own.empty() && name.size() > own.size() &&
      strcasecmp(name.c_str() + name.size() - own.size(), own.c_str()) == 0)
    name.resize(name.size() - own.size());
}

int NameInCoroutine(const sockaddr* address, socklen_t size, char* host, socklen_t host_size,
                    char* service, socklen_t service_size, int flags) {
  HostAddress numeric;
  const bool wants_name = host != nullptr && host_size > 0 && (flags & NI_NUMERICHOST) == 0;
  if (!wants_name || !HasName(address, size, numeric))
    return real::getnameinfo(address, size, host, host_size, service, service_size, flags);
  // The service, the checks and the numeric host are libc's; its numeric host may need more room
  // than the name.
  char digits[NI_MAXHOST], port[NI_MAXSERV] = "";
  const bool wants_service = service != nullptr && service_size > 0;
  const int outcome = real::getnameinfo(
      address, size, digits, sizeof digits, wants_service ? port : nullptr,
      std::min<socklen_t>(service_size, sizeof port), (flags & ~NI_NAMEREQD) | NI_NUMERICHOST);
  if (outcome != 0) return outcome;
  const HostAnswer answer = FindByAddress(numeric);
  if (answer.failure == NETDB_INTERNAL) {
    if (answer.error == ENOMEM) return EAI_MEMORY;
    errno = answer.error;
    return EAI_SYSTEM;
  }
  if (answer.failure == TRY_AGAIN) return EAI_AGAIN;
  if (answer.failure != 0 && (flags & NI_NAMEREQD) != 0) return EAI_NONAME;
  try {
    std::string text = answer.failure == 0 ? answer.name : digits;
    if (answer.failure == 0 && (flags & NI_NOFQDN) != 0) CutDomain(text);
    if (text.size() + 1 > host_size) return EAI_OVERFLOW;
    memcpy(host, text.c_str(), text.size() + 1);
  } catch (const std::bad_alloc&) {
    return EAI_MEMORY;
  }
  if (wants_service) memcpy(service, port, strlen(port) + 1);
  return 0;
}

hostent* ByName(const char* name, int family, Call call) {
  if (name == nullptr || LooksNumeric(name) || !KnownFamily(family))
    return real::gethostbyname2(name, family);
  CallRecord record(call, 0);
  hostent* host = DeliverStatic(FindByName(name, family), family);
  record.Done(host != nullptr ? 0 : -1);
  return host;
}

int ByNameIntoBuffer(const char* name, int family, hostent* host, char* buffer, size_t size,
                     hostent** result, int* failure, Call call) {
  if (LooksNumeric(name) || !KnownFamily(family))
    return real::gethostbyname2_r(name, family, host, buffer, size, result, failure);
  CallRecord record(call, 0);
  return record.Done(
      Deliver(FindByName(name, family), family, host, buffer, size, result, failure));
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API hostent* CogiGetHostByName(const char* name) __asm__("gethostbyname");
COGI_API hostent* CogiGetHostByName2(const char* name, int family) __asm__("gethostbyname2");
COGI_API int CogiGetHostByNameR(const char* name, hostent* host, char* buffer, size_t size,
                                hostent** result, int* failure) __asm__("gethostbyname_r");
COGI_API int CogiGetHostByName2R(const char* name, int family, hostent* host, char* buffer,
                                 size_t size, hostent** result,
                                 int* failure) __asm__("gethostbyname2_r");
COGI_API hostent* CogiGetHostByAddr(const void* bytes, socklen_t length,
                                    int family) __asm__("gethostbyaddr");
COGI_API int CogiGetHostByAddrR(const void* bytes, socklen_t length, int family, hostent* host,
                                char* buffer, size_t size, hostent** result,
                                int* failure) __asm__("gethostbyaddr_r");
COGI_API int CogiGetNameInfo(const sockaddr* address, socklen_t size, char* host,
                             socklen_t host_size, char* service, socklen_t service_size,
                             int flags) __asm__("getnameinfo");

hostent* CogiGetHostByName(const char* name) {
  using namespace cogi::hooks;
  return Hooked() ? ByName(name, AF_INET, Call::gethostbyname) : real::gethostbyname(name);
}

hostent* CogiGetHostByName2(const char* name, int family) {
  using namespace cogi::hooks;
  return Hooked() ? ByName(name, family, Call::gethostbyname2) : real::gethostbyname2(name, family);
}

int CogiGetHostByNameR(const char* name, hostent* host, char* buffer, size_t size, hostent** result,
                       int* failure) {
  using namespace cogi::hooks;
  if (!Hooked()) return real::gethostbyname_r(name, host, buffer, size, result, failure);
  return ByNameIntoBuffer(name, AF_INET, host, buffer, size, result, failure,
                          Call::gethostbyname_r);
}

int CogiGetHostByName2R(const char* name, int family, hostent* host, char* buffer, size_t size,
                        hostent** result, int* failure) {
  using namespace cogi::hooks;
  if (!Hooked()) return real::gethostbyname2_r(name, family, host, buffer, size, result, failure);
  return ByNameIntoBuffer(name, family, host, buffer, size, result, failure,
                          Call::gethostbyname2_r);
}

hostent* CogiGetHostByAddr(const void* bytes, socklen_t length, int family) {
  using namespace cogi::hooks;
  return Hooked() ? ByAddress(bytes, length, family) : real::gethostbyaddr(bytes, length, family);
}

int CogiGetHostByAddrR(const void* bytes, socklen_t length, int family, hostent* host, char* buffer,
                       size_t size, hostent** result, int* failure) {
  using namespace cogi::hooks;
  if (!Hooked() || !ValidAddress(bytes, length, family))
    return real::gethostbyaddr_r(bytes, length, family, host, buffer, size, result, failure);
  CallRecord record(Call::gethostbyaddr_r, 0);
  const HostAnswer answer = FindByAddress(AddressOf(bytes, family));
  const int outcome =
      Deliver(answer, FamilyOf(answer, family), host, buffer, size, result, failure);
  // libc's DNS module does not tell a server that cannot answer from an address without a name, but
  // by *failure.
  return record.Done(answer.failure == TRY_AGAIN ? 0 : outcome);
}

int CogiGetNameInfo(const sockaddr* address, socklen_t size, char* host, socklen_t host_size,
                    char* service, socklen_t service_size, int flags) {
  using namespace cogi::hooks;
  if (!Hooked())
    return real::getnameinfo(address, size, host, host_size, service, service_size, flags);
  CallRecord record(Call::getnameinfo, 0);
  return record.Done(NameInCoroutine(address, size, host, host_size, service, service_size, flags));
}
}
