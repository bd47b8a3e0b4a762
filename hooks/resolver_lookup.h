// Looking up names and addresses: the hosts file and DNS, in the order of nsswitch.conf, with
// search domains, as glibc's nss_files and nss_dns do. For coroutines. What the other name hooks
// are made of.
#ifndef COGI_HOOKS_RESOLVER_LOOKUP_H_
#define COGI_HOOKS_RESOLVER_LOOKUP_H_

#include <netdb.h>
#include <netinet/in.h>

#include <string>
#include <vector>

#include "hooks/resolver_config.h"

namespace cogi::hooks {

struct HostAddress {
  int family = AF_INET;  // AF_INET or AF_INET6
  in6_addr bytes{};      // an IPv4 address takes the first four
};

// What was found, or why nothing was.
struct HostAnswer {
  // 0: found. Else as h_errno: HOST_NOT_FOUND, NO_DATA, TRY_AGAIN, NO_RECOVERY, NETDB_INTERNAL with
  // `error` as errno.
  int failure = HOST_NOT_FOUND;
  int error = 0;
  // TRY_AGAIN for the name as it is, although the last one of the search was answered: libc's calls
  // with a buffer then return 0.
  bool last_was_answered = false;
  // The service could not be reached at all: ask libc on a helper thread.
  bool ask_libc = false;
  std::string name;  // canonical
  std::vector<std::string> aliases;
  std::vector<HostAddress> addresses;  // in the order of the source
};

// LookUpName() finds the addresses of `name` of `family` (AF_INET, AF_INET6 or AF_UNSPEC for both).
// Yields.
[[nodiscard]] HostAnswer LookUpName(const std::string& name, int family);

// LookUpAddress() finds the name of an address. Yields.
[[nodiscard]] HostAnswer LookUpAddress(const HostAddress& address);

// LooksNumeric() is true for what libc takes for an address, valid or not, and never asks anyone
// for: digits and dots that do not end in a dot, or hexadecimal digits and dots with a colon.
[[nodiscard]] bool LooksNumeric(const char* name);

// NeedsLibc() is true where only libc knows how to find `name`: nsswitch.conf asks for more than
// files and dns, or the name is not ASCII, or HOSTALIASES is set.
[[nodiscard]] bool NeedsLibc(const char* name);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_RESOLVER_LOOKUP_H_
