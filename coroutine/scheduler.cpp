#include "coroutine/scheduler.h"

#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <typeinfo>

#include "coroutine/check.h"
#include "coroutine/debug_layout.h"
#include "coroutine/locals.h"
#include "coroutine/overflow.h"
#include "coroutine/scheduler_impl.h"
#include "coroutine/system_calls.h"

namespace cogi::coroutine {
namespace {

constexpr size_t kTransferStackSize = 64 << 10;
// How long the loop runs coroutines, while some are ready, before it looks at descriptors and
// timers.
constexpr size_t kRunsBetweenPolls = 64;
constexpr int64_t kTimeBetweenPolls = 20'000;  // ns

void TerminateOnUncaught(Coroutine& co, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coroutine %s#%llu ended by an uncaught exception: %s: %s\n", Name(co),
                 static_cast<unsigned long long>(Id(co)), typeid(error).name(), error.what());
  } catch (...) {
    std::fprintf(stderr, "coroutine %s#%llu ended by an uncaught exception\n", Name(co),
                 static_cast<unsigned long long>(Id(co)));
  }
  std::terminate();
}

// In a forked child the parent's scheduler must not run: its epoll instance is the parent's too.
void ForgetParentsScheduler() {
  thread_context.scheduler = nullptr;
  thread_context.current = &thread_context.root;
}

struct Schedulers {
  std::mutex mutex;
  std::vector<Scheduler::Impl*> impls;
};

Schedulers& AllSchedulers() {
  static Schedulers& all = []() -> Schedulers& {
    auto* made = new Schedulers;  // outlives every thread
    cogi_debug_schedulers = &made->impls;
    return *made;
  }();
  return all;
}

ThreadContext& PrepareThread() {
  ThreadContext& thread = thread_context;
  if (thread.words.errno_address == nullptr) {
    Learn(thread.words);
    thread.root_address = &thread.root;
    thread.root.stack = &thread.root_stack;
    thread.root_stack.owner = &thread.root;
    thread.root.resumer = &thread.root;
    thread.root.mark = static_cast<uint32_t>(State::kRunning);
    static const int registered = pthread_atfork(nullptr, nullptr, &ForgetParentsScheduler);
    (void)registered;
#if COGI_ASAN
    pthread_attr_t attributes;
    void* base = nullptr;
    size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &base, &size);
    pthread_attr_destroy(&attributes);
    thread.root_stack.base = static_cast<char*>(base);
    thread.root_stack.top = thread.root_stack.base + size;
#endif
#if COGI_TSAN
    thread.root.fiber = __tsan_get_current_fiber();
#endif
  }
  thread.current = &thread.root;
  return thread;
}

SchedulerOptions Checked(SchedulerOptions options) {
  options.shared_stack_size = CheckedStackSize(options.shared_stack_size);
  options.private_stack_size = CheckedStackSize(options.private_stack_size);
  if (options.shared_stack_size == 0 || options.private_stack_size == 0)
    throw std::system_error(EINVAL, std::generic_category(),
                            "stack size of a scheduler: 16 KiB to 1 GiB");
  if (options.shared_stacks < 1 || options.shared_stacks > 1024)
    throw std::system_error(EINVAL, std::generic_category(),
                            "number of shared stacks of a scheduler: 1 to 1024");
  if (std::getenv("COGI_WATCH_STACKS") != nullptr) options.watch_stacks = true;
  return options;
}

}  // namespace

void Scheduler::Impl::ForEachScheduler(const std::function<void(Impl&)>& visit) {
  const std::lock_guard<std::mutex> lock(AllSchedulers().mutex);
  for (Impl* impl : AllSchedulers().impls) visit(*impl);
}

int64_t MonotonicNow() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

Scheduler::Impl::Impl(Scheduler& scheduler, const SchedulerOptions& wanted)
    : owner(scheduler),
      options(Checked(wanted)),
      thread(PrepareThread()),
      now(MonotonicNow()),
      started(now),
      blocks(sizeof(Coroutine), 256 << 10),
      shared_stacks(options.shared_stacks, options.shared_stack_size),
      timers(now),
      on_uncaught(&TerminateOnUncaught) {
  if (!MapStack(transfer_stack, kTransferStackSize))
    throw std::system_error(errno, std::generic_category(), "stack of a scheduler");
  thread.scheduler = this;
  ReportStackOverflows();
  const std::lock_guard<std::mutex> lock(AllSchedulers().mutex);
  AllSchedulers().impls.push_back(this);
}

Scheduler::Impl::~Impl() {
  DestroyAll();
  {
    const std::lock_guard<std::mutex> lock(AllSchedulers().mutex);
    std::erase(AllSchedulers().impls, this);
  }
  UnmapStack(transfer_stack);
  thread.scheduler = nullptr;
}

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
    if (stack != nullptr && !stack->shared) private_stacks.Give(stack);
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
    if (!stack->shared) {
      private_stacks.Give(stack);
    } else {
      --stack->assigned;
#if COGI_ASAN
      if (stack->owner == &co || stack->owner == nullptr) stack->dirty = stack->base;
#endif
      if (stack->owner == &co) stack->owner = nullptr;
      if (stack->owner == nullptr) stack->pool->Vacated(*stack);
    }
  }
#if COGI_TSAN
  __tsan_destroy_fiber(co.fiber);
#endif
  co.scheduler = nullptr;
  --live;
  blocks.Give(&co);
}

void Scheduler::Impl::Unpinned(Coroutine& co) noexcept {
  co.pins = 0;
  if (co.stack == nullptr || co.stack->pinned_by != &co) return;
  RunStack& stack = *co.stack;
  stack.pool->Unpin(stack);
  while (Coroutine* blocked = stack.blocked_head) {
    stack.blocked_head = blocked->ready_next;
    blocked->Clear(kQueued);
    PushReady(*blocked);
  }
}

void Scheduler::Impl::RemoveReady(Coroutine& co) noexcept {
  co.Clear(kQueued);
  if (co.stack != nullptr) {
    for (Coroutine** link = &co.stack->blocked_head; *link != nullptr;
         link = &(*link)->ready_next) {
      if (*link != &co) continue;
      *link = co.ready_next;
      return;
    }
  }
  Coroutine* before = nullptr;
  for (Coroutine* at = ready_head; at != nullptr; before = at, at = at->ready_next) {
    if (at != &co) continue;
    (before == nullptr ? ready_head : before->ready_next) = co.ready_next;
    if (ready_tail == &co) ready_tail = before;
    --ready_count;
    return;
  }
}

void Scheduler::Impl::RunOne(Coroutine& co) {
  co.Clear(kQueued);
  if (co.state() != State::kReady) return;  // somebody has resumed it by hand
  if (co.stack != nullptr && co.stack->pinned_by != nullptr && co.stack->pinned_by != &co)
      [[unlikely]] {
    co.Set(kQueued);
    Coroutine** link = &co.stack->blocked_head;
    while (*link != nullptr) link = &(*link)->ready_next;
    co.ready_next = nullptr;
    *link = &co;
    return;
  }
  co.SetState(co.sp == nullptr ? State::kNew : State::kParked);
  budget = options.call_budget;
  ++switches;
  Resume(co);
  if (co.state() == State::kDone && co.Has(kScheduled)) Release(co);
}

// RunTurn() runs those that are ready now, each once.
void Scheduler::Impl::RunTurn() {
  for (size_t count = ready_count; count > 0 && ready_head != nullptr; --count) {
    Coroutine& co = *ready_head;
    ready_head = co.ready_next;
    if (ready_head == nullptr) ready_tail = nullptr;
    --ready_count;
    ++runs_since_poll;
    RunOne(co);
    if (stopping.load(std::memory_order_relaxed)) return;
  }
}

void Scheduler::Impl::PollEvents(int64_t tick) {
  const int64_t time = MonotonicNow();
  if (ready_head != nullptr) {
    if (runs_since_poll < kRunsBetweenPolls && time - now < kTimeBetweenPolls) return;
    descriptors.Poll(0, time);
    now = time;
  } else {
    int64_t next = timers.NextDeadline();
    if (tick != TimerWheel::kNever && next - time > tick) next = time + tick;
    descriptors.Poll(next > time ? next : 0, time);
    now = MonotonicNow();
  }
  runs_since_poll = 0;
  FireTimers(now);
  if (posted_any.load(std::memory_order_acquire)) RunPosted();
}

void Scheduler::Impl::Loop(const std::function<bool()>& done, int64_t tick) {
  COGI_CHECK(!running, "an event loop inside the event loop of the same thread");
  running = true;
  LookAtOwnStack(thread.words);
  while (!stopping.load(std::memory_order_relaxed)) {
    RunTurn();
    if (stopping.load(std::memory_order_relaxed) || done()) break;
    PollEvents(tick);
  }
  stopping.store(false, std::memory_order_relaxed);
  running = false;
}

void Scheduler::Impl::FireTimers(int64_t time) noexcept {
  for (TimerNode* node = timers.TakeDue(time); node != nullptr;) {
    TimerNode* next = node->next;
    auto& co =
        *reinterpret_cast<Coroutine*>(reinterpret_cast<char*>(node) - offsetof(Coroutine, timer));
    ++timers_fired;
    MakeReady(co, WakeReason::kTimeout);
    node = next;
  }
}

void Scheduler::Impl::RunPosted() {
  posted_any.store(false, std::memory_order_relaxed);
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard<std::mutex> lock(posted_mutex);
    work.swap(posted);
  }
  for (auto& each : work) each();
  LookAtOwnStack(thread.words);
}

void Scheduler::Impl::Wake() noexcept { descriptors.Signal(); }

void Scheduler::Impl::DestroyAll() {
  COGI_CHECK(thread.current == &thread.root, "a scheduler was destroyed from inside a coroutine");
  // Those with a pinned stack first: they keep others from theirs. Unwinding may end or start some.
  for (const bool pinned : {true, false}) {
    for (Coroutine* found = &thread.root; found != nullptr;) {
      found = nullptr;
      ForEachBlock([&](Coroutine& co) {
        if (found == nullptr && (!pinned || co.pins > 0)) found = &co;
      });
      Destroy(found);
    }
  }
}

Scheduler::Scheduler(const SchedulerOptions& options) {
  COGI_CHECK(thread_context.scheduler == nullptr, "a thread can have one scheduler only");
  impl_ = std::make_unique<Impl>(*this, options);
}

Scheduler::~Scheduler() = default;

Scheduler* Scheduler::Current() noexcept {
  Impl* impl = CurrentImpl();
  return impl == nullptr ? nullptr : &impl->owner;
}

Coroutine* Scheduler::SpawnFunction(std::function<void()> body, const SpawnOptions& options) {
  Coroutine* co = impl_->Create(std::move(body), options, nullptr);
  co->Set(kScheduled);
  co->SetState(State::kReady);
  impl_->PushReady(*co);
  return co;
}

void Scheduler::Run() {
  RunUntil([this] { return impl_->live == 0; });
}

void Scheduler::RunUntil(const std::function<bool()>& done) {
  COGI_CHECK(
      thread_context.scheduler == impl_.get() && thread_context.current == &thread_context.root,
      "Run() belongs on the own stack of the scheduler's thread");
  impl_->Loop(done, TimerWheel::kNever);
}

void Scheduler::Stop() noexcept {
  impl_->stopping.store(true, std::memory_order_relaxed);
  impl_->Wake();
}

void Scheduler::Post(std::function<void()> work) {
  {
    const std::lock_guard<std::mutex> lock(impl_->posted_mutex);
    impl_->posted.push_back(std::move(work));
  }
  if (!impl_->posted_any.exchange(true, std::memory_order_acq_rel)) impl_->Wake();
}

size_t Scheduler::live() const noexcept { return impl_->live; }

void Scheduler::OnUncaught(std::function<void(Coroutine&, std::exception_ptr)> handler) {
  impl_->on_uncaught = std::move(handler);
}

void Scheduler::ForEach(const std::function<void(Coroutine&)>& visit) {
  impl_->ForEachBlock([&](Coroutine& co) {
    if (co.state() != State::kDone) visit(co);
  });
}

Scheduler::Stats Scheduler::stats() const noexcept {
  const Impl& impl = *impl_;
  Stats stats{};
  stats.switches = impl.switches;
  stats.stack_saves = impl.copies.saves;
  stats.stack_restores = impl.copies.restores;
  stats.bytes_saved = impl.copies.bytes_saved;
  stats.epoll_waits = impl.descriptors.waits();
  stats.epoll_ctls = impl.descriptors.controls();
  stats.timers_fired = impl.timers_fired;
  stats.spawned = impl.spawned;
  stats.live = impl.live;
  stats.save_bytes = impl.buffers.bytes();
  stats.shared_stacks = impl.shared_stacks.count();
  return stats;
}

WakeReason SleepUntil(Deadline deadline) { return Park(WaitKind::kTimer, 0, deadline); }

void ChargeCall() {
  Coroutine* self = Running();
  if (self != nullptr && --self->scheduler->budget < 0) Yield();
}

}  // namespace cogi::coroutine
