#include "server/idle_memory.h"

#include <malloc.h>

#include <chrono>

namespace cogi::server {
namespace {

constexpr std::chrono::seconds kBetween{10};
constinit thread_local coroutine::Deadline t_next{};

}  // namespace

void GiveBackMemory(coroutine::Deadline now) {
  if (now < t_next) return;
  t_next = now + kBetween;
  ::malloc_trim(0);
}

}  // namespace cogi::server
