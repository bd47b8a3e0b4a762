// What a Scheduler is made of. Private to coroutine/.
#ifndef COGI_COROUTINE_SCHEDULER_IMPL_H_
#define COGI_COROUTINE_SCHEDULER_IMPL_H_

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "coroutine/control_block.h"
#include "coroutine/descriptors.h"
#include "coroutine/resume.h"
#include "coroutine/running.h"
#include "coroutine/save_buffers.h"
#include "coroutine/shared_stacks.h"
#include "coroutine/slab_pool.h"
#include "coroutine/stack.h"
#include "coroutine/timer_wheel.h"

namespace cogi::coroutine {

// MonotonicNow() is CLOCK_MONOTONIC in nanoseconds.
[[nodiscard]] int64_t MonotonicNow() noexcept;

struct Scheduler::Impl {
  Impl(Scheduler& scheduler, const SchedulerOptions& wanted);
  ~Impl();

  // The ready queue: first in, first out, linked by Coroutine::ready_next.
  void PushReady(Coroutine& co) noexcept {
    if (co.Has(kQueued)) return;
    co.Set(kQueued);
    co.ready_next = nullptr;
    (ready_tail == nullptr ? ready_head : ready_tail->ready_next) = &co;
    ready_tail = &co;
    ++ready_count;
  }
  Coroutine& TakeReady() noexcept;  // the first; there must be one
  void RemoveReady(Coroutine& co) noexcept;
  void RunTurn();
  void RunOne(Coroutine& co);
  // Loop() runs until Stop() or until `done`, asked after each turn, is true. It never sleeps
  // longer than `tick` nanoseconds.
  void Loop(const std::function<bool()>& done, int64_t tick);
  void PollEvents(int64_t tick);
  void FireTimers(int64_t now) noexcept;
  [[nodiscard]] Posted* TakePosted() noexcept;
  void RunPosted();
  void Wake() noexcept;
  // Unpinned() takes all pins of `co` away and lets those run who waited for its stack.
  void Unpinned(Coroutine& co) noexcept;
  [[nodiscard]] Coroutine* Create(Body body, const SpawnOptions& wanted, SharedStacks* stacks);
  uint64_t NewId() noexcept;
  void Release(Coroutine& co) noexcept;
  void LeaveStack(RunStack& stack) noexcept;  // one coroutine less uses it
  void DestroyAll();
  // ForEachScheduler() visits the schedulers of all threads, under a lock.
  static void ForEachScheduler(const std::function<void(Impl&)>& visit);
  template <class Visit>
  void ForEachBlock(Visit visit) {
    blocks.ForEach([&](void* memory) {
      auto& co = *static_cast<Coroutine*>(memory);
      if (co.scheduler != nullptr) visit(co);
    });
  }

  Scheduler& owner;
  const SchedulerOptions options;
  ThreadContext& thread;

  Coroutine* ready_head = nullptr;
  Coroutine* ready_tail = nullptr;
  size_t ready_count = 0;
  int budget = 0;  // hooked calls that the running coroutine may still make in this turn
  size_t live = 0;
  size_t runs_since_poll = 0;
  int64_t now = 0;  // of the last poll
  int64_t started = 0;
  uint64_t next_id = 0, last_id = 0;

  SlabPool blocks;
  SaveBuffers buffers;
  StackPool private_stacks;
  SharedStacks shared_stacks;
  RunStack transfer_stack;  // where one coroutine's frames are changed for another's
  Coroutine* transfer_from = nullptr;
  Coroutine* transfer_to = nullptr;
  CopyStats copies{};
  void (*injected)() = nullptr;  // what a coroutine with kInject calls when it runs next

  TimerWheel timers;
  Descriptors descriptors;

  std::mutex posted_mutex;
  Posted *posted_first = nullptr, *posted_last = nullptr;
  std::atomic<bool> posted_any{false};
  std::atomic<bool> stopping{false};
  bool running = false;
  std::function<void(Coroutine&, std::exception_ptr)> on_uncaught;
  uint64_t switches = 0, timers_fired = 0, spawned = 0;
};

// MakeReady() ends the park of `co` with `reason`. Returns false if it is not parked, or woken
// already.
bool MakeReady(Coroutine& co, WakeReason reason) noexcept;

// Finish() ends the running coroutine: control goes to its resumer.
[[noreturn]] void Finish(Coroutine& co) noexcept;

// ForceUnwind() unwinds the running coroutine, which has kKilled, to its entry. See unwind.cpp.
[[noreturn]] void ForceUnwind();

// CurrentImpl() is the calling thread's scheduler, or null.
[[nodiscard]] inline Scheduler::Impl* CurrentImpl() noexcept { return thread_context.scheduler; }

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SCHEDULER_IMPL_H_
