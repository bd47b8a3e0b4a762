#include "coroutine/local.h"

#include <atomic>
#include <memory>

#include "coroutine/locals.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {
namespace {

// A destructor may set values again; so many rounds are made, as POSIX threads do.
constexpr int kRounds = 4;

void DestroySlots(std::vector<Locals::Slot>& slots) noexcept {
  for (int round = 0; round < kRounds; ++round) {
    bool any = false;
    for (size_t i = 0; i < slots.size(); ++i) {
      const Locals::Slot slot = std::exchange(slots[i], {});
      if (slot.value == nullptr || slot.destroy == nullptr) continue;
      slot.destroy(slot.value);
      any = true;
    }
    if (!any) return;
  }
}

struct ThreadLocals {
  Locals locals;
  ~ThreadLocals() { DestroySlots(locals.slots); }
};
thread_local ThreadLocals thread_locals;

Locals* Mine() noexcept {
  Coroutine* self = Running();
  return self == nullptr ? &thread_locals.locals : self->locals;
}

}  // namespace

Locals& LocalsOf(Coroutine& co) {
  if (co.locals == nullptr) co.locals = new Locals;
  return *co.locals;
}

void DestroyLocals(Coroutine& co) noexcept {
  if (co.locals != nullptr) DestroySlots(co.locals->slots);
}

size_t NewLocalKey() noexcept {
  static std::atomic<size_t> next{0};
  return next.fetch_add(1, std::memory_order_relaxed);
}

void* GetLocal(size_t key) noexcept {
  const Locals* locals = Mine();
  return locals == nullptr || key >= locals->slots.size() ? nullptr : locals->slots[key].value;
}

void SetLocal(size_t key, void* value, void (*destroy)(void*)) {
  Coroutine* self = Running();
  Locals& locals = self == nullptr ? thread_locals.locals : LocalsOf(*self);
  if (key >= locals.slots.size()) locals.slots.resize(key + 1);
  locals.slots[key] = {value, destroy};
}

}  // namespace cogi::coroutine
