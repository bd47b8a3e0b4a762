#include "server/scoreboard.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace cogi::server {

Scoreboard::Scoreboard(size_t slots) : slots_(slots) {
  void* memory = mmap(nullptr, slots * sizeof(WorkerCounters), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for the workers' counters");
  counters_ = static_cast<WorkerCounters*>(memory);
  for (size_t slot = 0; slot < slots; ++slot) ::new (counters_ + slot) WorkerCounters;
}

Scoreboard::~Scoreboard() { munmap(counters_, slots_ * sizeof(WorkerCounters)); }

uint32_t Scoreboard::MeanConnections() const {
  uint64_t sum = 0;
  uint32_t serving = 0;
  for (size_t slot = 0; slot < slots_; ++slot) {
    if (counters_[slot].pid.load(std::memory_order_relaxed) == 0) continue;
    sum += counters_[slot].connections.load(std::memory_order_relaxed);
    ++serving;
  }
  return serving == 0 ? 0 : static_cast<uint32_t>(sum / serving);
}

}  // namespace cogi::server
