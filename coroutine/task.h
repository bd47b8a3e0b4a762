// Start(): a coroutine whose result, or exception, somebody waits for.
//
//   auto answer = Start([] { return Fetch("a"); });
//   auto other = Start([] { return Fetch("b"); });
//   Use(answer.Join(), other.Join());
#ifndef COGI_COROUTINE_TASK_H_
#define COGI_COROUTINE_TASK_H_

#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "coroutine/scheduler.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

template <class T>
class Task {
 public:
  // JoinUntil() waits for the end. kReady, kTimeout or kCancelled (the *waiting* coroutine was). On
  // a thread's own stack it runs the scheduler meanwhile, whatever the deadline. May yield.
  WakeReason JoinUntil(Deadline deadline) {
    Coroutine* self = Current();
    if (self == nullptr && !state_->done)
      Scheduler::Current()->RunUntil([this] { return state_->done; });
    while (!state_->done) {
      state_->waiters.Add(WaitNodeOf(*self));
      const WakeReason reason = Park(WaitKind::kJoin, static_cast<uintptr_t>(state_->id), deadline);
      if (reason == WakeReason::kTimeout || reason == WakeReason::kCancelled) return reason;
    }
    return WakeReason::kReady;
  }
  // Join() waits and returns the result, once, or throws what left the task's body;
  // std::system_error with ECANCELED if the waiting coroutine was cancelled, or the task destroyed
  // before its end.
  T Join() {
    if (JoinUntil(kNoDeadline) != WakeReason::kReady)
      throw std::system_error(ECANCELED, std::generic_category(), "join of a task");
    if (state_->exception != nullptr) std::rethrow_exception(state_->exception);
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }
  [[nodiscard]] bool done() const { return state_->done; }
  // Cancel() cancels the task's coroutine, if it still runs.
  void Cancel() {
    if (!state_->done) coroutine::Cancel(*state_->coroutine);
  }

 private:
  template <class Body>
  friend auto Start(Body body, const SpawnOptions& options);
  using Value = std::conditional_t<std::is_void_v<T>, char, T>;
  struct State {
    bool done = false;
    Coroutine* coroutine = nullptr;
    uint64_t id = 0;
    std::optional<Value> value;
    std::exception_ptr exception;
    WaitList waiters;
  };
  // Finisher ends the task even if its coroutine is unwound.
  struct Finisher {
    std::shared_ptr<State> state;
    ~Finisher() {
      if (!state->value.has_value() && state->exception == nullptr) {
        state->exception = std::make_exception_ptr(
            std::system_error(ECANCELED, std::generic_category(), "task was destroyed"));
      }
      state->done = true;
      state->waiters.WakeAll();
    }
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Start() spawns `body` on the calling thread's scheduler. Throws as Scheduler::Spawn(). Never
// yields.
template <class Body>
auto Start(Body body, const SpawnOptions& options = {}) {
  using T = std::invoke_result_t<Body&>;
  Task<T> task;
  auto state = task.state_;
  auto shared_body = std::make_shared<Body>(std::move(body));
  state->coroutine = Go(
      [state, shared_body]() mutable {
        const typename Task<T>::Finisher finisher{state};
        const auto own_body = std::move(shared_body);  // its captures end before the task does
        try {
          if constexpr (std::is_void_v<T>) {
            (*own_body)();
            state->value.emplace();
          } else {
            state->value.emplace((*own_body)());
          }
        } catch (const std::exception&) {
          state->exception = std::current_exception();
        } catch (...) {
          state->exception = std::current_exception();
          if (state->exception == nullptr) throw;  // a forced unwinding
        }
      },
      options);
  state->id = Id(*state->coroutine);
  return task;
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_TASK_H_
