#include "coroutine/scheduler.h"

#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <system_error>
#include <typeinfo>
#include <utility>

#include "coroutine/check.h"
#include "coroutine/debug_layout.h"
#include "coroutine/fetch_ahead.h"
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
  for (Posted* work = TakePosted(); work != nullptr;) {
    Posted& each = *work;
    work = work->next_;
    each.Drop();
  }
  UnmapStack(transfer_stack);
  thread.scheduler = nullptr;
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

Coroutine& Scheduler::Impl::TakeReady() noexcept {
  Coroutine& co = *ready_head;
  ready_head = co.ready_next;
  if (ready_head == nullptr) ready_tail = nullptr;
  --ready_count;
  co.Clear(kQueued);
  return co;
}

void Scheduler::Impl::RunOne(Coroutine& co) {
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
    if (++runs_since_poll % kFetchedAhead == 1) FetchAhead(ready_head);
    Coroutine& co = TakeReady();
    FetchSaved(ready_head);
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

Scheduler::Posted* Scheduler::Impl::TakePosted() noexcept {
  const std::lock_guard<std::mutex> lock(posted_mutex);
  posted_last = nullptr;
  return std::exchange(posted_first, nullptr);
}

void Scheduler::Impl::RunPosted() {
  posted_any.store(false, std::memory_order_relaxed);
  for (Posted* work = TakePosted(); work != nullptr;) {
    Posted& each = *work;
    work = work->next_;
    each.Run();
  }
  LookAtOwnStack(thread.words);
}

void Scheduler::Impl::Wake() noexcept { descriptors.Signal(); }

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

namespace {

class PostedFunction final : public Scheduler::Posted {
 public:
  explicit PostedFunction(std::function<void()> work) : work_(std::move(work)) {}
  void Run() override {
    const std::unique_ptr<PostedFunction> own(this);
    work_();
  }
  void Drop() noexcept override { const std::unique_ptr<PostedFunction> own(this); }

 private:
  std::function<void()> work_;
};

}  // namespace

void Scheduler::Post(std::function<void()> work) {
  Post(*std::make_unique<PostedFunction>(std::move(work)).release());
}

void Scheduler::Post(Posted& work) noexcept {
  {
    const std::lock_guard<std::mutex> lock(impl_->posted_mutex);
    work.next_ = nullptr;
    (impl_->posted_last == nullptr ? impl_->posted_first : impl_->posted_last->next_) = &work;
    impl_->posted_last = &work;
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
