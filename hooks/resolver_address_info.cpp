// getaddrinfo(). What needs no name (numeric addresses, services, flags, their errors) is libc's
// own answer: the real call with AI_NUMERICHOST never leaves the machine. Names are looked up here,
// and put into a list of the shape that libc's freeaddrinfo() frees: a block for each entry with
// its address behind it, the canonical name by itself.
#include <arpa/inet.h>
#include <netdb.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "coroutine/wait.h"
#include "hooks/calls.h"
#include "hooks/helper_pool.h"
#include "hooks/real.h"
#include "hooks/resolver_lookup.h"
#include "hooks/resolver_sort.h"

namespace cogi::hooks {

namespace {

constexpr addrinfo kNoHints = {
    AI_V4MAPPED | AI_ADDRCONFIG, AF_UNSPEC, 0, 0, 0, nullptr, nullptr, nullptr};

class AddressList {
 public:
  AddressList() = default;
  ~AddressList() {
    if (first_ != nullptr) freeaddrinfo(first_);
  }
  AddressList(const AddressList&) = delete;
  AddressList& operator=(const AddressList&) = delete;

  // Get() is where a call puts its result.
  addrinfo** Get() { return &first_; }
  [[nodiscard]] const addrinfo* first() const { return first_; }
  // Release() hands the list out, with `flags` as those that were asked for.
  addrinfo* Release(int flags) {
    addrinfo* list = first_;
    first_ = nullptr;
    for (addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) entry->ai_flags = flags;
    return list;
  }

  // Adds an entry for `address` with the socket type, protocol and port of `service`. False without
  // memory.
  bool Add(const HostAddress& address, const addrinfo& service) {
    const size_t size = address.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    auto* entry = static_cast<addrinfo*>(calloc(1, sizeof(addrinfo) + size));
    if (entry == nullptr) return false;
    *entry = {0,
              address.family,
              service.ai_socktype,
              service.ai_protocol,
              static_cast<socklen_t>(size),
              nullptr,
              nullptr,
              nullptr};
    entry->ai_addr = reinterpret_cast<sockaddr*>(entry + 1);
    entry->ai_addr->sa_family = static_cast<sa_family_t>(address.family);
    // The port lies at the same place in either kind of address.
    const in_port_t port = reinterpret_cast<const sockaddr_in*>(service.ai_addr)->sin_port;
    if (address.family == AF_INET) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(entry->ai_addr);
      v4->sin_port = port;
      memcpy(&v4->sin_addr, &address.bytes, sizeof v4->sin_addr);
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(entry->ai_addr);
      v6->sin6_port = port;
      v6->sin6_addr = address.bytes;
    }
    *last_ = entry;
    last_ = &entry->ai_next;
    return true;
  }

  bool SetCanonicalName(const std::string& name) {
    first_->ai_canonname = strdup(name.c_str());
    return first_->ai_canonname != nullptr;
  }

 private:
  addrinfo* first_ = nullptr;
  addrinfo** last_ = &first_;
};

// The real call without names: numeric addresses only.
int Numeric(const char* node, const char* service, addrinfo hints, AddressList& list) {
  hints.ai_flags |= AI_NUMERICHOST;
  return real::getaddrinfo(node, service, &hints, list.Get());
}

// The real call on a helper thread, for what only libc knows.
int OnHelper(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  struct Job {
    std::string node, service;
    bool has_service = false, has_hints = false;
    addrinfo hints{};
    AddressList list;
    int outcome = EAI_SYSTEM, error = 0;
  };
  auto job = std::make_shared<Job>();
  job->node = node;
  if ((job->has_service = service != nullptr)) job->service = service;
  if ((job->has_hints = hints != nullptr)) job->hints = *hints;
  const coroutine::WakeReason reason = RunOnHelper(coroutine::WaitKind::kName, 0, [job] {
    job->outcome =
        real::getaddrinfo(job->node.c_str(), job->has_service ? job->service.c_str() : nullptr,
                          job->has_hints ? &job->hints : nullptr, job->list.Get());
    job->error = errno;
  });
  if (reason == coroutine::WakeReason::kClosed) return EAI_MEMORY;
  if (reason != coroutine::WakeReason::kReady) {
    errno = ECANCELED;
    return EAI_SYSTEM;
  }
  errno = job->error;
  *result = job->list.Release(job->has_hints ? job->hints.ai_flags : kNoHints.ai_flags);
  return job->outcome;
}

int ErrorOf(const HostAnswer& answer) {
  switch (answer.failure) {
    case NO_DATA:
      return EAI_NODATA;
    case TRY_AGAIN:
      return EAI_AGAIN;
    case NETDB_INTERNAL:
      if (answer.error == ENOMEM) return EAI_MEMORY;
      errno = answer.error;
      return EAI_SYSTEM;
    default:
      return EAI_NONAME;
  }
}

// AI_ADDRCONFIG for a question for both families: those that an interface has. libc's answer to a
// numeric address of the other family tells.
int ConfiguredFamily(const addrinfo& hints) {
  if (hints.ai_family != AF_UNSPEC || (hints.ai_flags & AI_ADDRCONFIG) == 0) return hints.ai_family;
  addrinfo probe{};
  probe.ai_flags = AI_ADDRCONFIG;
  probe.ai_socktype = SOCK_STREAM;
  AddressList v4, v6;
  const bool has_v4 = Numeric("127.0.0.1", nullptr, probe, v4) == 0;
  const bool has_v6 = Numeric("::1", nullptr, probe, v6) == 0;
  return has_v4 == has_v6 ? AF_UNSPEC : has_v4 ? AF_INET : AF_INET6;
}

HostAddress MappedAddress(const HostAddress& v4) {
  HostAddress mapped;
  mapped.family = AF_INET6;
  mapped.bytes.s6_addr[10] = mapped.bytes.s6_addr[11] = 0xff;
  memcpy(mapped.bytes.s6_addr + 12, &v4.bytes, 4);
  return mapped;
}

// Asks for the addresses of `family`; for AF_INET6 with AI_V4MAPPED for IPv4 addresses, too, if
// there are no others or AI_ALL wants them.
HostAnswer FindAddresses(const std::string& node, int family, int flags) {
  HostAnswer answer = LookUpName(node, family);
  if (family != AF_INET6 || (flags & AI_V4MAPPED) == 0 || answer.failure == NETDB_INTERNAL)
    return answer;
  if (answer.failure == 0 && (flags & AI_ALL) == 0) return answer;
  HostAnswer v4 = LookUpName(node, AF_INET);
  if (v4.failure != 0) return answer.failure == 0 || v4.failure != NETDB_INTERNAL ? answer : v4;
  if (answer.failure != 0) {
    answer = v4;
    answer.addresses.clear();
  }
  for (const HostAddress& address : v4.addresses)
    answer.addresses.push_back(MappedAddress(address));
  return answer;
}

int ByName(const char* node, const char* service, const addrinfo& hints, addrinfo** result) {
  // What services the list is to have, as libc sees it: those of a numeric address of the family.
  AddressList services;
  addrinfo numeric = hints;
  numeric.ai_flags &= ~(AI_CANONNAME | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL);
  const int known =
      Numeric(hints.ai_family == AF_INET6 ? "::1" : "127.0.0.1", service, numeric, services);
  if (known != 0) return known;

  HostAnswer answer = FindAddresses(node, ConfiguredFamily(hints), hints.ai_flags);
  if (answer.ask_libc) return OnHelper(node, service, &hints, result);
  if (answer.failure != 0) return ErrorOf(answer);
  SortAddresses(*CurrentConfig(), answer.addresses);

  AddressList list;
  for (const HostAddress& address : answer.addresses) {
    for (const addrinfo* entry = services.first(); entry != nullptr; entry = entry->ai_next)
      if (!list.Add(address, *entry)) return EAI_MEMORY;
  }
  if (list.first() == nullptr) return EAI_NONAME;
  if ((hints.ai_flags & AI_CANONNAME) != 0 && !list.SetCanonicalName(answer.name))
    return EAI_MEMORY;
  *result = list.Release(hints.ai_flags);
  return 0;
}

int InCoroutine(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  if (node == nullptr || strcmp(node, "*") == 0)
    return real::getaddrinfo(node, service, hints, result);
  const addrinfo& wanted = hints == nullptr ? kNoHints : *hints;
  {
    AddressList list;
    const int outcome = Numeric(node, service, wanted, list);
    if (outcome == 0) *result = list.Release(wanted.ai_flags);
    if (outcome != EAI_NONAME || (wanted.ai_flags & AI_NUMERICHOST) != 0) return outcome;
  }
  constexpr int kInternational = AI_IDN | AI_CANONIDN;
  if ((wanted.ai_flags & kInternational) != 0 || NeedsLibc(node))
    return OnHelper(node, service, hints, result);
  return ByName(node, service, wanted, result);
}

// libc's answer where there is no memory.
template <class Ask>
int WithMemory(Ask ask) {
  try {
    return ask();
  } catch (const std::bad_alloc&) {
    return EAI_MEMORY;
  }
}

}  // namespace
}  // namespace cogi::hooks

extern "C" {

COGI_API int CogiGetAddrInfo(const char* node, const char* service, const addrinfo* hints,
                             addrinfo** result) __asm__("getaddrinfo");

int CogiGetAddrInfo(const char* node, const char* service, const addrinfo* hints,
                    addrinfo** result) {
  using namespace cogi::hooks;
  if (!Hooked()) return real::getaddrinfo(node, service, hints, result);
  CallRecord record(Call::getaddrinfo, 0);
  const int saved_errno = errno;
  const int outcome =
      record.Done(WithMemory([&] { return InCoroutine(node, service, hints, result); }));
  if (outcome != EAI_SYSTEM) errno = saved_errno;
  return outcome;
}
}
