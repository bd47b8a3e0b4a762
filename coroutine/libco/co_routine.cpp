#include "coroutine/libco/co_routine.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>

#include "coroutine/check.h"
#include "coroutine/event_loop.h"
#include "coroutine/libco/co_comm.h"
#include "coroutine/libco/co_routine_specific.h"
#include "coroutine/libco/environment.h"
#include "coroutine/local.h"
#include "coroutine/locals.h"
#include "coroutine/resume.h"
#include "coroutine/scheduler_impl.h"

namespace core = cogi::coroutine;

namespace {

constexpr int kDefaultStack = 128 << 10, kLargestStack = 8 << 20, kSmallestStack = 16 << 10;
constexpr int64_t kTick = 1'000'000;  // ns; programs use the event loop's callback as a clock
constexpr uint32_t kSignalled = 1;    // in the node of who waits for a condition

struct EnvironmentOfThread {
  stCoRoutineEnv_t* environment = nullptr;
  stCoEpoll_t epoll;
  ~EnvironmentOfThread() {
    // At the end of the process, which may come by exit() inside a coroutine, everything is left as
    // it is; a thread that ends takes its coroutines with it.
    if (environment == nullptr || getpid() == gettid() || core::Running() != nullptr) return;
    delete environment;
  }
};
thread_local EnvironmentOfThread of_thread;

stCoRoutineEnv_t& Environment() {
  if (of_thread.environment == nullptr) {
    auto made = std::make_unique<stCoRoutineEnv_t>();
    if (core::Scheduler::Current() == nullptr)
      made->own = std::make_unique<core::Scheduler>(core::SchedulerOptions{.shared_stacks = 1});
    made->main.env = made.get();
    made->main.cStart = made->main.cIsMain = 1;
    of_thread.environment = made.release();
  }
  return *of_thread.environment;
}

core::Coroutine* CoreOf(const stCoRoutine_t& co) {
  return static_cast<core::Coroutine*>(co.coroutine);
}

int StackSize(const stCoRoutineAttr_t* attributes) {
  int size = attributes == nullptr ? 0 : attributes->stack_size;
  if (size <= 0) size = kDefaultStack;
  return std::min(std::max(size, kSmallestStack), kLargestStack);
}

void MakeCore(stCoRoutine_t& co) {
  stCoRoutine_t* self = &co;
  core::SpawnOptions options;
  options.hooks = co.cEnableSysHook != 0;  // after co_reset(): as they were
  options.stack_mode =
      co.share_stack == nullptr ? core::StackMode::kPrivate : core::StackMode::kShared;
  options.stack_size = static_cast<size_t>(co.stack_size);
  core::Coroutine* made = core::Create(
      [self] {
        self->cStart = 1;
        (void)self->pfn(self->arg);
        self->cEnd = 1;
      },
      options, co.share_stack == nullptr ? nullptr : &co.share_stack->stacks);
  co.coroutine = made;
  try {
    core::LocalsOf(*made).libco = self;
  } catch (...) {
    core::Abandon(made);
    throw;
  }
}

// Runs `make`, which allocates, at the border to code that knows no exceptions.
template <class Make>
int WithErrno(Make make) {
  try {
    make();
    return 0;
  } catch (const std::system_error& error) {
    errno = error.code().value();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
  }
  return -1;
}

core::Deadline DeadlineIn(int milliseconds) {
  return milliseconds < 0 ? core::kNoDeadline
                          : core::After(std::chrono::milliseconds(milliseconds));
}

}  // namespace

int co_create(stCoRoutine_t** co, const stCoRoutineAttr_t* attr, pfn_co_routine_t routine,
              void* arg) {
  *co = nullptr;
  return WithErrno([&] {
    auto made = std::make_unique<stCoRoutine_t>();
    made->env = &Environment();
    made->pfn = routine;
    made->arg = arg;
    made->share_stack = attr == nullptr ? nullptr : attr->share_stack;
    made->cIsShareStack = made->share_stack != nullptr;
    made->stack_size = StackSize(attr);
    MakeCore(*made);
    *co = made.release();
  });
}

void co_resume(stCoRoutine_t* co) {
  COGI_CHECK(co != nullptr && co->coroutine != nullptr,
             "co_resume() of a thread's main coroutine, of null, or of one that has been released");
  core::Resume(*CoreOf(*co));
}

void co_yield_ct() { core::YieldToResumer(); }
void co_yield_to_resumer(stCoRoutine_t*) { core::YieldToResumer(); }
void co_yield_env(stCoRoutineEnv_t*) { core::YieldToResumer(); }
// co_yield(stCoRoutine_t*) under its mangled name: this file is C++20, where it is a keyword.
extern "C" COGI_LIBCO_API void _Z8co_yieldP13stCoRoutine_t(stCoRoutine_t*) {
  core::YieldToResumer();
}

void co_free(stCoRoutine_t* co) {
  if (co == nullptr) return;
  COGI_CHECK(!co->cIsMain, "co_release() of a thread's main coroutine");
  COGI_CHECK(co->coroutine != nullptr, "a coroutine was released twice");
  core::Coroutine* coroutine = CoreOf(*co);
  // The view of a coroutine that cogi's own API has made goes with that.
  const bool own = core::LocalsOf(*coroutine).free_libco == nullptr;
  core::Destroy(coroutine);
  if (own) Environment().released.Add(co);
}
void co_release(stCoRoutine_t* co) { co_free(co); }

void co_reset(stCoRoutine_t* co) {
  COGI_CHECK(co != nullptr && co->coroutine != nullptr,
             "co_reset() of a thread's main coroutine, of null, or of one that has been released");
  if (!co->cStart) return;
  core::Destroy(CoreOf(*co));
  co->coroutine = nullptr;
  co->cStart = co->cEnd = 0;
  COGI_CHECK(WithErrno([co] { MakeCore(*co); }) == 0, "co_reset(): no memory for another start");
}

stCoRoutine_t* co_self() {
  core::Coroutine* self = core::Running();
  if (self == nullptr)
    return of_thread.environment == nullptr ? nullptr : &of_thread.environment->main;
  core::Locals& locals = core::LocalsOf(*self);
  if (locals.libco == nullptr) {  // made by cogi's own API
    auto* view = new stCoRoutine_t{};
    view->env = &Environment();
    view->cStart = 1;
    view->coroutine = self;
    locals.libco = view;
    locals.free_libco = [](void* given) { delete static_cast<stCoRoutine_t*>(given); };
  }
  return static_cast<stCoRoutine_t*>(locals.libco);
}

stCoRoutine_t* GetCurrThreadCo() { return co_self(); }
void co_init_curr_thread_env() { Environment(); }
stCoRoutineEnv_t* co_get_curr_thread_env() { return of_thread.environment; }

int co_poll(stCoEpoll_t*, pollfd fds[], nfds_t count, int timeout) {
  if (core::Running() == nullptr) return poll(fds, count, timeout);
  return core::PollFds(fds, count, DeadlineIn(timeout));
}
int co_poll_inner(stCoEpoll_t* context, pollfd fds[], nfds_t count, int timeout,
                  poll_pfn_t poll_function) {
  if (poll_function != nullptr && (timeout == 0 || core::Running() == nullptr))
    return poll_function(fds, count, timeout);
  return co_poll(context, fds, count, timeout);
}

void co_eventloop(stCoEpoll_t*, pfn_co_eventloop_t tick, void* arg) {
  Environment();
  core::CurrentImpl()->Loop([=] { return tick != nullptr && tick(arg) == -1; },
                            tick == nullptr ? core::TimerWheel::kNever : kTick);
}

stCoEpoll_t* co_get_epoll_ct() {
  stCoRoutineEnv_t& environment = Environment();
  return environment.epoll != nullptr ? environment.epoll : &of_thread.epoll;
}
stCoEpoll_t* AllocEpoll() { return new (std::nothrow) stCoEpoll_t; }
void FreeEpoll(stCoEpoll_t* name) {
  if (name == &of_thread.epoll) return;
  stCoRoutineEnv_t* environment = of_thread.environment;
  if (environment != nullptr && environment->epoll == name) environment->epoll = nullptr;
  delete name;
}
void SetEpoll(stCoRoutineEnv_t* environment, stCoEpoll_t* name) { environment->epoll = name; }

namespace {
using Values = std::map<pthread_key_t, const void*>;
core::CoroutineLocal<Values>& ValuesOfCoroutine() {
  static auto& values = *new core::CoroutineLocal<Values>;
  return values;
}
}  // namespace

int co_setspecific(pthread_key_t key, const void* value) {
  if (core::Running() == nullptr) return pthread_setspecific(key, value);
  return WithErrno([&] { (*ValuesOfCoroutine())[key] = value; }) == 0 ? 0 : errno;
}

void* co_getspecific(pthread_key_t key) {
  if (core::Running() == nullptr) return pthread_getspecific(key);
  const Values& values = *ValuesOfCoroutine();
  const auto found = values.find(key);
  return found == values.end() ? nullptr : const_cast<void*>(found->second);
}

void* cogi_co_routine_specific(size_t* key, size_t size) {
  size_t number = __atomic_load_n(key, __ATOMIC_ACQUIRE);
  if (number == 0) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    number = __atomic_load_n(key, __ATOMIC_ACQUIRE);
    if (number == 0) {
      number = core::NewLocalKey() + 1;
      __atomic_store_n(key, number, __ATOMIC_RELEASE);
    }
  }
  void* value = core::GetLocal(number - 1);
  if (value == nullptr) {
    value = std::calloc(1, size);
    COGI_CHECK(value != nullptr, "no memory for a CO_ROUTINE_SPECIFIC variable");
    core::SetLocal(number - 1, value, &std::free);
  }
  return value;
}

namespace {
void EnableHooks(bool enabled) {
  core::Coroutine* self = core::Running();
  if (self == nullptr) return;
  core::EnableHooks(*self, enabled);
  co_self()->cEnableSysHook = enabled;
}
}  // namespace

void co_enable_hook_sys() {
  Environment();
  EnableHooks(true);
}
void co_disable_hook_sys() { EnableHooks(false); }
bool co_is_enable_sys_hook() {
  const core::Coroutine* self = core::Running();
  return self != nullptr && core::HooksEnabled(*self);
}

stCoCond_t* co_cond_alloc() { return new (std::nothrow) stCoCond_t; }
int co_cond_free(stCoCond_t* condition) {
  delete condition;
  return 0;
}
int co_cond_signal(stCoCond_t* condition) {
  condition->waiters.WakeOne(core::WakeReason::kReady, kSignalled);
  return 0;
}
int co_cond_broadcast(stCoCond_t* condition) {
  condition->waiters.WakeAll();
  return 0;
}
int co_cond_timedwait(stCoCond_t* condition, int timeout) {
  core::Coroutine* self = core::Running();
  COGI_CHECK(self != nullptr, "co_cond_timedwait() outside a coroutine");
  self->node.got = 0;
  core::OnUnwind signal_next([=] {
    if (self->node.got == kSignalled) co_cond_signal(condition);
  });
  const core::WakeReason reason = core::ParkIn(
      condition->waiters, core::WaitKind::kLock, reinterpret_cast<uintptr_t>(condition),
      timeout <= 0 ? core::kNoDeadline : DeadlineIn(timeout));
  signal_next.Disarm();
  switch (reason) {
    case core::WakeReason::kTimeout:
      return ETIMEDOUT;
    case core::WakeReason::kCancelled:
      return ECANCELED;
    default:
      return 0;
  }
}

clsCoMutex::clsCoMutex() : state_(new (std::nothrow) stCoMutex_t) {
  COGI_CHECK(state_ != nullptr, "no memory for a clsCoMutex");
}
clsCoMutex::~clsCoMutex() { delete state_; }
void clsCoMutex::CoLock() {
  const core::ShieldScope shield;
  // Only one that is being unwound comes back without it.
  while (state_->free.Acquire() != core::WakeReason::kReady) core::ForceUnwind();
}
void clsCoMutex::CoUnLock() {
  if (state_->free.available() == 0) state_->free.Release();
}

stShareStack_t* co_alloc_sharestack(int count, int stack_size) {
  if (count < 1) {
    errno = EINVAL;
    return nullptr;
  }
  stCoRoutineAttr_t attributes;
  attributes.stack_size = stack_size;
  stShareStack_t* made = nullptr;
  WithErrno([&] {
    made =
        new stShareStack_t(static_cast<size_t>(count), static_cast<size_t>(StackSize(&attributes)));
  });
  return made;
}
void co_free_sharestack(stShareStack_t* stacks) { delete stacks; }

void co_log_err(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
}
