// Scheduler: one per thread. Runs ready coroutines, then waits in epoll exactly until the next
// event or deadline.
//
//   cogi::coroutine::Scheduler scheduler;
//   scheduler.Spawn([] { ... blocking code ... }, {.name = "greeter"});
//   scheduler.Run();
#ifndef COGI_COROUTINE_SCHEDULER_H_
#define COGI_COROUTINE_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "coroutine/export.h"

namespace cogi::coroutine {

struct SchedulerOptions {
  size_t shared_stacks = 8;               // run stacks at first; 1 to 1024. Pins add to them
  size_t shared_stack_size = 1 << 20;     // bytes, rounded up to pages; 16 KiB to 1 GiB
  size_t private_stack_size = 256 << 10;  // bytes, rounded up to pages; 16 KiB to 1 GiB
  size_t max_coroutines = 0;              // 0: no limit
  int call_budget =
      64;  // hooked calls that need not wait before the coroutine yields to the others

  // Debugging aid: a shared stack is inaccessible while its coroutine is suspended, so that a
  // pointer to a local that has escaped faults at once instead of hitting another's frames. Each
  // switch then costs system calls. COGI_WATCH_STACKS=1 in the environment turns it on as well.
  bool watch_stacks = false;
};

struct SpawnOptions {
  StackMode stack_mode = StackMode::kShared;
  size_t stack_size = 0;  // bytes of a private stack, 16 KiB to 1 GiB; 0: the scheduler's default.
                          // Shared stacks are all of the scheduler's size
  const char* name = "";  // must outlive the coroutine; shown in dumps and overflow reports
  bool hooks = true;      // hooked calls park the coroutine
};

class COGI_API Scheduler {
 public:
  // Makes this thread's scheduler. Throws std::system_error if epoll or memory cannot be had.
  // CHECK: one per thread.
  explicit Scheduler(const SchedulerOptions& options = {});
  // Destroys it. Coroutines that have not ended are unwound first (their destructors run).
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Current() is the calling thread's scheduler, or null.
  [[nodiscard]] static Scheduler* Current() noexcept;

  // Spawn() makes a coroutine that runs `body` and puts it into the ready queue; `body` runs at the
  // next turn, its captures are destroyed at its end. An exception that leaves `body` ends that
  // coroutine and is passed to OnUncaught(). Returns the control block, valid until the coroutine
  // ends. Throws std::system_error (EAGAIN: the maximum number is reached; ENOMEM). Never yields.
  template <class Body>
  Coroutine* Spawn(Body&& body, const SpawnOptions& options = {}) {
    return SpawnFunction(std::function<void()>(std::forward<Body>(body)), options);
  }

  // Run() runs coroutines until none is left or Stop() is called. Call it on the thread's own
  // stack.
  void Run();
  // RunUntil() does so until `done` returns true; `done` is asked after each turn of the loop.
  void RunUntil(const std::function<bool()>& done);
  // Stop() makes Run() return after the current turn. From a coroutine or signal-safe code of this
  // thread, or any thread.
  void Stop() noexcept;

  // Posted is work that is made before it is posted, so that posting it needs no memory and cannot
  // fail. It is the poster's until one of the two is called.
  class COGI_API Posted {
   public:
    virtual void Run() = 0;
    // Drop() is called instead if the scheduler ends before.
    virtual void Drop() noexcept = 0;

   protected:
    ~Posted() = default;

   private:
    friend class Scheduler;
    Posted* next_ = nullptr;
  };

  // Post() runs `work` on this scheduler's thread, outside coroutines, at its next turn; wakes the
  // loop. A function throws std::bad_alloc if there is no memory to keep it. Thread-safe.
  void Post(std::function<void()> work);
  void Post(Posted& work) noexcept;

  // The number of coroutines that have not ended.
  [[nodiscard]] size_t live() const noexcept;

  // Called with the exception that left a coroutine's body. Default: std::terminate after a message
  // on stderr.
  void OnUncaught(std::function<void(Coroutine&, std::exception_ptr)> handler);

  // ForEach() calls `visit` for every coroutine that has not ended. `visit` must not start or end
  // any.
  void ForEach(const std::function<void(Coroutine&)>& visit);

  struct Stats {
    uint64_t switches, stack_saves, stack_restores, bytes_saved, epoll_waits, epoll_ctls,
        timers_fired, spawned;
    size_t live, save_bytes, shared_stacks;
  };
  [[nodiscard]] Stats stats() const noexcept;

  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }  // for coroutine/'s own files

 private:
  Coroutine* SpawnFunction(std::function<void()> body, const SpawnOptions& options);
  std::unique_ptr<Impl> impl_;
};

// Go() spawns on the calling thread's scheduler. CHECK: there is one.
template <class Body>
Coroutine* Go(Body&& body, const SpawnOptions& options = {}) {
  return Scheduler::Current()->Spawn(std::forward<Body>(body), options);
}

// Yield() lets every other ready coroutine run once, then continues. Yields. Outside a coroutine:
// nothing.
COGI_API void Yield();

// SleepUntil(), SleepFor() suspend the calling coroutine. kTimeout is the ordinary end; kCancelled
// if cancelled. Yield.
COGI_API WakeReason SleepUntil(Deadline deadline);
template <class Rep, class Period>
WakeReason SleepFor(std::chrono::duration<Rep, Period> wait) {
  return SleepUntil(After(wait));
}

// ChargeCall() counts one hooked call that did not have to wait, and yields when the coroutine's
// budget is used up, so that a peer which always has data cannot starve the others. May yield.
COGI_API void ChargeCall();

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_SCHEDULER_H_
