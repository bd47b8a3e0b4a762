#include "coroutine/offload.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>

#include "coroutine/scheduler_impl.h"
#include "coroutine/system_calls.h"

namespace cogi::coroutine {
namespace {

// Job: one call. It outlives both sides.
struct Job final : Scheduler::Posted {
  void Run() override {
    finished = true;
    waiters.WakeAll();
    Drop();
  }
  void Drop() noexcept override { std::shared_ptr<Job>().swap(self); }

  std::shared_ptr<Job> self;  // while it is posted
  std::function<void()> work;
  Scheduler* scheduler;
  std::atomic<int> done{0};  // futex: the helper is through with everything
  bool finished = false;     // known on the scheduler's thread
  WaitList waiters;
};

class Helpers {
 public:
  void Submit(std::shared_ptr<Job> job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (jobs_.size() >= idle_ && threads_ < kHelperThreads) StartThread();
    jobs_.push_back(std::move(job));
    wake_.notify_one();
  }

 private:
  void StartThread() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the program's own threads
    pthread_t thread;
    const int failed = pthread_create(&thread, nullptr, &Helper, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed == 0) {
      pthread_detach(thread);
      ++threads_;
    } else if (threads_ == 0) {
      throw std::system_error(failed, std::generic_category(), "helper thread");
    }
  }

  static void* Helper(void* self) { static_cast<Helpers*>(self)->Work(); }

  [[noreturn]] void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      ++idle_;
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      --idle_;
      const std::shared_ptr<Job> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job->work();
      job->self = job;
      job->scheduler->Post(*job);
      job->done.store(1, std::memory_order_release);
      sys::Call(SYS_futex, sys::Arg(&job->done), FUTEX_WAKE_PRIVATE, 1);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> jobs_;
  int threads_ = 0;
  size_t idle_ = 0;  // of them; jobs that wait in the queue may be theirs already
};

std::atomic<Helpers*> helpers{nullptr};

Helpers& AllHelpers() {
  // A forked child has none of the threads: it starts afresh (and the old object is left alone).
  static std::mutex mutex;
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { helpers.store(nullptr, std::memory_order_relaxed); });
  (void)registered;
  const std::lock_guard<std::mutex> lock(mutex);
  if (helpers.load(std::memory_order_relaxed) == nullptr)
    helpers.store(new Helpers, std::memory_order_relaxed);
  return *helpers.load(std::memory_order_relaxed);
}

// Waits for the helper, without the scheduler: for its last steps, so that the scheduler outlives
// them; for all of its work if the coroutine is unwound in the middle.
struct HelperIsDone {
  Job& job;
  ~HelperIsDone() {
    while (job.done.load(std::memory_order_acquire) == 0)
      sys::Call(SYS_futex, sys::Arg(&job.done), FUTEX_WAIT_PRIVATE, 0);
  }
};

// Submitting starts threads with calls that may be hooked, and that would pin or park this
// coroutine.
struct HooksOff {
  Coroutine& self;
  bool before = HooksEnabled(self);
  explicit HooksOff(Coroutine& co) : self(co) { EnableHooks(self, false); }
  ~HooksOff() { EnableHooks(self, before); }
};

}  // namespace

void RunOnHelper(std::function<void()> work) {
  Coroutine* self = Running();
  if (self == nullptr) return work();
  const PinScope pin;
  const ShieldScope shield;
  const auto job = std::make_shared<Job>();
  job->work = std::move(work);
  job->scheduler = &self->scheduler->owner;
  {
    const HooksOff off(*self);
    AllHelpers().Submit(job);
  }
  const HelperIsDone wait{*job};
  while (!job->finished && !self->Is(kKilled)) {
    job->waiters.Add(self->node);
    Park(WaitKind::kThread, 0);
  }
}

}  // namespace cogi::coroutine
