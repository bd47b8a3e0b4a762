// DNS questions from coroutines, by c-ares on the scheduler's own event loop. Each scheduler has
// one service: while questions are open, one coroutine of it waits for c-ares' sockets and hands
// out the answers. A changed configuration takes a new channel for new questions.
#ifndef COGI_HOOKS_DNS_SERVICE_H_
#define COGI_HOOKS_DNS_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "coroutine/wait.h"
#include "hooks/resolver_config.h"

namespace cogi::hooks {

// One question and its answer.
struct DnsQuestion {
  std::string name;             // without search; a trailing dot is allowed
  int type = 0;                 // T_A, T_AAAA or T_PTR
  int status = 0;               // ARES_SUCCESS, ARES_ENODATA and so on
  std::vector<uint8_t> answer;  // the message, if there was one
};

// AskDns() asks all `questions` at once and suspends the calling coroutine until each has its
// answer or its status. kReady; kTimeout: libc would have given up by now (ARES_ETIMEOUT is set for
// the open ones); kCancelled; kClosed: the service cannot be started (no descriptor, too many
// coroutines), ask by another way. A question for which there was no memory has ARES_ENOMEM. Throws
// std::bad_alloc. Yields.
coroutine::WakeReason AskDns(const std::shared_ptr<const ResolverConfig>& config,
                             std::vector<DnsQuestion>& questions);

}  // namespace cogi::hooks

#endif  // COGI_HOOKS_DNS_SERVICE_H_
