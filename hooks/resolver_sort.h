// The order in which addresses of a host are best tried: RFC 3484 with glibc's tables and rules 1,
// 2, 5, 6, 8, 9 and 10 (rules 3, 4 and 7 concern deprecated, home and tunnel addresses, about which
// the kernel is not asked).
#ifndef COGI_HOOKS_RESOLVER_SORT_H_
#define COGI_HOOKS_RESOLVER_SORT_H_

#include <vector>

#include "hooks/resolver_config.h"
#include "hooks/resolver_lookup.h"

namespace cogi::hooks {

// SortAddresses() puts the best first. Asks the kernel for routes (sockets that send nothing).
// Never yields.
void SortAddresses(const ResolverConfig& config, std::vector<HostAddress>& addresses);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_RESOLVER_SORT_H_
