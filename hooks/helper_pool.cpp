#include "hooks/helper_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <new>

#include "coroutine/coroutine.h"
#include "coroutine/scheduler.h"
#include "coroutine/system_calls.h"
#include "hooks/lock_parking.h"
#include "hooks/program_state.h"

namespace cogi::hooks {

namespace {

using coroutine::Coroutine;
using coroutine::Scheduler;
using coroutine::WaitList;
using coroutine::WakeReason;

constexpr std::chrono::seconds kIdleEnd{10};
constexpr size_t kHelperStack = 256 << 10;  // bytes; glibc's resolver and nss modules need some

// One call. Shared by the waiting coroutine and the helper; whoever is last frees it. Whoever waits
// has to hear of its end, memory or none: so it is itself what is posted.
struct Job final : Scheduler::Posted {
  void Run() override {
    done = true;
    waiters.WakeAll();
    Drop();
  }
  void Drop() noexcept override { std::shared_ptr<Job>().swap(self); }

  std::shared_ptr<Job> self;  // while it is posted
  std::function<void()> work;
  WaitList waiters;  // of the scheduler's thread alone
  bool done = false;
  std::atomic<int> ended{0};       // `work` has; a futex
  std::mutex mutex;                // guards `scheduler`
  Scheduler* scheduler = nullptr;  // null when nobody waits any more
};

// The pool's own locks must never park: it is called from coroutines.
class Uncontended {
 public:
  Uncontended() { ++t_inside_parking; }
  ~Uncontended() { --t_inside_parking; }
  Uncontended(const Uncontended&) = delete;
  Uncontended& operator=(const Uncontended&) = delete;
};

class Pool {
 public:
  // Never destroyed: helpers may run until the process is gone. The child of a fork has a new one.
  static Pool& Get() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] {
      instance_ = new Pool;
      pthread_atfork(nullptr, nullptr, [] { instance_ = new Pool; });
    });
    return *instance_;
  }

  // Throws std::bad_alloc. False if there is no thread to do it.
  bool Submit(std::shared_ptr<Job> job) {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ >= static_cast<int>(jobs_.size()) || (threads_ >= kMaxHelpers)) {
      work_.notify_one();
      return true;
    }
    if (StartThread()) return true;
    if (threads_ > 0) return true;
    jobs_.pop_back();
    return false;
  }

 private:
  bool StartThread() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, kHelperStack);
    // Signals are for the threads that expect them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int result = pthread_create(
        &thread, &attributes,
        [](void* self) -> void* {
          static_cast<Pool*>(self)->Serve();
          return nullptr;
        },
        this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (result == 0) ++threads_;
    return result == 0;
  }

  void Serve() {
    pthread_setname_np(pthread_self(), "cogi-helper");
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      const bool found = work_.wait_for(lock, kIdleEnd, [this] { return !jobs_.empty(); });
      --idle_;
      if (!found) break;
      std::shared_ptr<Job> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      Perform(std::move(job));
      lock.lock();
    }
    --threads_;
  }

  static void Perform(std::shared_ptr<Job> job) {
    job->work();
    job->work = nullptr;
    job->ended.store(1, std::memory_order_release);
    coroutine::sys::Call(SYS_futex, coroutine::sys::Arg(&job->ended), FUTEX_WAKE_PRIVATE, 1);
    std::lock_guard lock(job->mutex);
    if (job->scheduler == nullptr) return;
    job->self = job;
    job->scheduler->Post(*job);
  }

  static inline Pool* instance_ = nullptr;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Job>> jobs_;
  int threads_ = 0;
  int idle_ = 0;
};

// Ends the waiting, by whatever way the coroutine leaves: after that the scheduler may be gone.
class Waiting {
 public:
  Waiting(std::shared_ptr<Job> job, bool to_the_end)
      : job_(std::move(job)), to_the_end_(to_the_end) {}
  ~Waiting() {
    while (to_the_end_ && job_->ended.load(std::memory_order_acquire) == 0)
      coroutine::sys::Call(SYS_futex, coroutine::sys::Arg(&job_->ended), FUTEX_WAIT_PRIVATE, 0);
    Uncontended uncontended;
    std::lock_guard lock(job_->mutex);
    job_->scheduler = nullptr;
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::shared_ptr<Job> job_;
  bool to_the_end_;
};

}  // namespace

WakeReason RunOnHelper(coroutine::WaitKind kind, uintptr_t subject, std::function<void()> work,
                       coroutine::Deadline deadline, bool to_the_end) {
  std::shared_ptr<Job> job;
  try {
    ServerScope server;  // the job may outlive the program that asks
    Uncontended uncontended;
    job = std::make_shared<Job>();
    job->work = std::move(work);
    job->scheduler = Scheduler::Current();
    if (!Pool::Get().Submit(job)) return WakeReason::kClosed;
  } catch (const std::bad_alloc&) {
    return WakeReason::kClosed;
  }
  Waiting waiting(job, to_the_end);
  while (!job->done) {
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*coroutine::Current());
    job->waiters.Add(node);
    const WakeReason reason = coroutine::Park(kind, subject, deadline);
    if (!job->done && reason != WakeReason::kReady) return reason;
  }
  return WakeReason::kReady;
}

}  // namespace cogi::hooks
