// The life of control blocks: how a coroutine comes into being and goes.
#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>

#include "coroutine/check.h"
#include "coroutine/locals.h"
#include "coroutine/scheduler_impl.h"

namespace cogi::coroutine {

Coroutine* Scheduler::Impl::Create(Body body, const SpawnOptions& wanted, SharedStacks* stacks) {
  if (options.max_coroutines != 0 && live >= options.max_coroutines)
    throw std::system_error(EAGAIN, std::generic_category(), "maximum number of coroutines");
  RunStack* stack = nullptr;
  if (wanted.stack_mode == StackMode::kPrivate) {
    const size_t size =
        wanted.stack_size == 0 ? options.private_stack_size : CheckedStackSize(wanted.stack_size);
    if (size == 0)
      throw std::system_error(EINVAL, std::generic_category(), "stack size: 16 KiB to 1 GiB");
    stack = private_stacks.Take(size);
    if (stack == nullptr)
      throw std::system_error(ENOMEM, std::generic_category(), "stack of a coroutine");
  } else if (stacks != nullptr) {
    stack = stacks->Choose(nullptr);
    if (stack == nullptr)
      throw std::system_error(ENOMEM, std::generic_category(), "stack of a coroutine");
    ++stack->assigned;
  }
  void* memory = blocks.Take();
  if (memory == nullptr) {
    if (stack != nullptr) LeaveStack(*stack);
    throw std::system_error(ENOMEM, std::generic_category(), "control block of a coroutine");
  }
  auto* co = new (memory) Coroutine;
  new (co->body_storage) Body(std::move(body));
  co->stack = stack;
  co->mode = wanted.stack_mode;
  co->name = wanted.name == nullptr ? "" : wanted.name;
  if (wanted.hooks) co->Set(kHooks);
  if (options.watch_stacks && co->mode == StackMode::kShared) co->Mark(kWatched);
  co->id = NewId();
  co->resumer = &thread.root;
  co->scheduler = this;
#if COGI_TSAN
  co->fiber = __tsan_create_fiber(0);
#endif
  ++live;
  ++spawned;
  return co;
}

uint64_t Scheduler::Impl::NewId() noexcept {
  constexpr uint64_t kRange = 4096;  // a thread takes so many at a time
  static std::atomic<uint64_t> next_range{1};
  if (next_id == last_id) {
    next_id = next_range.fetch_add(kRange, std::memory_order_relaxed);
    last_id = next_id + kRange;
  }
  return next_id++;
}

void Scheduler::Impl::Release(Coroutine& co) noexcept {
  if (co.sp == nullptr && co.state() != State::kDone) {
    co.body().~Body();
  } else {
    if (co.node.list != nullptr) co.node.list->Remove(co.node);
    timers.Cancel(co.timer);
  }
  if (co.Has(kQueued)) RemoveReady(co);
  delete co.locals;
  buffers.Free(co.save);
  Unpinned(co);
  if (RunStack* stack = co.stack) {
    if (stack->owner == &co) stack->owner = nullptr;
#if COGI_ASAN
    if (stack->owner == nullptr) stack->dirty = stack->base;
#endif
    LeaveStack(*stack);
  }
#if COGI_TSAN
  __tsan_destroy_fiber(co.fiber);
#endif
  co.scheduler = nullptr;
  --live;
  blocks.Give(&co);
}

void Scheduler::Impl::LeaveStack(RunStack& stack) noexcept {
  if (!stack.shared) return private_stacks.Give(&stack);
  --stack.assigned;
  if (stack.owner == nullptr) stack.pool->Vacated(stack);
}

void Scheduler::Impl::DestroyAll() {
  COGI_CHECK(thread.current == &thread.root, "a scheduler was destroyed from inside a coroutine");
  // Those with a pinned stack first: they keep others from theirs. Unwinding may end or start some,
  // or make some ready: none of them runs any more.
  for (const bool pinned : {true, false}) {
    const auto is_next = [pinned](void* memory) {
      const auto& co = *static_cast<Coroutine*>(memory);
      return co.scheduler != nullptr && (!pinned || co.pins > 0);
    };
    while (void* found = blocks.Find(is_next)) {
      while (ready_head != nullptr) TakeReady();
      Destroy(static_cast<Coroutine*>(found));
    }
  }
}

}  // namespace cogi::coroutine
