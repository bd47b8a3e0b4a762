#include "hooks/lock_owners.h"

#include <pthread.h>
#include <unistd.h>

#include "hooks/lock_parking.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

namespace {

constexpr size_t kFirstSlots = 64;
constinit thread_local OwnerTable* t_owners = nullptr;
constinit thread_local pid_t t_thread_id = 0;

// The child of a fork has the forking coroutine's thread alone; its coroutine goes on as the thread
// itself.
__attribute__((constructor)) void WatchForks() {
  pthread_atfork(nullptr, nullptr, [] {
    t_owners = nullptr;
    t_thread_id = 0;
  });
}

}  // namespace

OwnerTable& OwnerTable::Here() {
  if (t_owners == nullptr) [[unlikely]] {
    ServerScope server;
    static thread_local OwnerTable table;
    t_owners = &table;
  }
  return *t_owners;
}

pid_t ThisThread() noexcept {
  if (t_thread_id == 0) [[unlikely]]
    t_thread_id = gettid();
  return t_thread_id;
}

size_t OwnerTable::Home(const void* lock) const noexcept {
  const auto bits = reinterpret_cast<uintptr_t>(lock);
  return (((bits >> 3) * 0x9E3779B97F4A7C15ull) >> 32) & (slots_.size() - 1);
}

Owner* OwnerTable::Find(const void* address) noexcept {
  if (used_ == 0) return nullptr;
  const void* lock = KeyOf(address);
  for (size_t i = Home(lock);; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].lock == lock) return &slots_[i];
    if (slots_[i].lock == nullptr) return nullptr;
  }
}

void OwnerTable::Add(const void* address, uint64_t coroutine, LockKind kind) {
  const void* lock = KeyOf(address);
  if (2 * (used_ + 1) > slots_.size()) Grow();
  size_t i = Home(lock);
  while (slots_[i].lock != nullptr) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = {lock, coroutine, 1, kind};
  ++used_;
}

void OwnerTable::Remove(const void* lock) noexcept {
  Owner* found = Find(lock);
  if (found == nullptr) return;
  const size_t mask = slots_.size() - 1;
  size_t hole = static_cast<size_t>(found - slots_.data());
  // Entries that were pushed past the hole move back into it, so that no search stops short of
  // them.
  for (size_t i = (hole + 1) & mask; slots_[i].lock != nullptr; i = (i + 1) & mask) {
    const size_t home = Home(slots_[i].lock);
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = Owner{};
  --used_;
}

void OwnerTable::Grow() {
  ServerScope server;  // the table outlives the program
  std::vector<Owner> old(slots_.empty() ? kFirstSlots : 2 * slots_.size());
  old.swap(slots_);
  for (const Owner& owner : old) {
    if (owner.lock == nullptr) continue;
    size_t i = Home(owner.lock);
    while (slots_[i].lock != nullptr) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = owner;
  }
}

const Owner* OwnerTable::AnyOf(uint64_t coroutine) const noexcept {
  if (used_ == 0) return nullptr;
  for (const Owner& owner : slots_) {
    if (owner.lock != nullptr && owner.coroutine == coroutine) return &owner;
  }
  return nullptr;
}

}  // namespace cogi::hooks
