// Channel<T>: a queue between the coroutines of one thread, and Select() over several of them.
//
//   Channel<int> numbers(10);
//   numbers.Send(1);                        // waits while ten are queued
//   while (auto n = numbers.Receive()) ...  // ends when closed and empty
//
//   std::optional<int> n;
//   switch (Select(After(1s), OnReceive(numbers, n), OnSend(results, 7))) { case 0: ... case 1: ...
//   }
//
// Values pass through the channel's own memory, never from one coroutine's stack to another's.
#ifndef COGI_COROUTINE_CHANNEL_H_
#define COGI_COROUTINE_CHANNEL_H_

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "coroutine/wait.h"

namespace cogi::coroutine {

template <class T>
class Channel {
 public:
  // `capacity` values may wait in it. 0: a sender waits until there is a receiver for its value.
  explicit Channel(size_t capacity = 0) : capacity_(capacity) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // TrySend() moves from `value` and returns true if there is room. False also after Close().
  bool TrySend(T& value) {
    if (closed_ || !HasRoom()) return false;
    queue_.push_back(std::move(value));
    receivers_.WakeOne();
    return true;
  }
  // Send() returns kReady, or kClosed, kTimeout, kCancelled with the value dropped. May yield.
  WakeReason Send(T value, Deadline deadline = kNoDeadline) {
    for (;;) {
      if (closed_) return WakeReason::kClosed;
      if (TrySend(value)) return WakeReason::kReady;
      const WakeReason reason = WaitIn(senders_, deadline);
      if (reason == WakeReason::kTimeout || reason == WakeReason::kCancelled) return reason;
    }
  }

  // TryReceive() returns true with a value, or with none if the channel is closed and empty.
  bool TryReceive(std::optional<T>& value) {
    if (queue_.empty()) {
      if (closed_) value.reset();
      return closed_;
    }
    value.emplace(std::move(queue_.front()));
    queue_.pop_front();
    senders_.WakeOne();
    return true;
  }
  // Receive() returns the next value, or nothing once the channel is closed and empty, after
  // `deadline`, or when cancelled. May yield.
  std::optional<T> Receive(Deadline deadline = kNoDeadline) {
    std::optional<T> value;
    while (!TryReceive(value)) {
      if (capacity_ == 0) senders_.WakeOne();
      const WakeReason reason = WaitIn(receivers_, deadline);
      if (reason == WakeReason::kTimeout || reason == WakeReason::kCancelled) break;
    }
    return value;
  }

  // Close(): what is queued can still be received; senders get kClosed.
  void Close() {
    closed_ = true;
    senders_.WakeAll();
    receivers_.WakeAll();
  }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] size_t size() const { return queue_.size(); }

 private:
  template <class U>
  friend struct ReceiveCase;
  template <class U>
  friend struct SendCase;

  WakeReason WaitIn(WaitList& waiters, Deadline deadline) {
    OnUnwind pass_on([this] { PassOn(); });
    const WakeReason reason = ParkIn(waiters, WaitKind::kChannel, Address(), deadline);
    pass_on.Disarm();
    return reason;
  }
  // PassOn() is for who was woken for a value, or for room, and goes without it: the next one is
  // woken.
  void PassOn() {
    if (!queue_.empty()) receivers_.WakeOne();
    if (HasRoom()) senders_.WakeOne();
  }
  [[nodiscard]] bool HasRoom() const {
    if (queue_.size() < capacity_) return true;
    if (capacity_ > 0 || !queue_.empty()) return false;
    for (const WaitNode* node = receivers_.front(); node != nullptr; node = node->next) {
      if (StateOf(*node->coroutine) == State::kParked) return true;
    }
    return false;
  }
  [[nodiscard]] uintptr_t Address() const { return reinterpret_cast<uintptr_t>(this); }

  const size_t capacity_;
  bool closed_ = false;
  std::deque<T> queue_;
  WaitList receivers_;
  WaitList senders_;
};

// The cases of a Select(). Each refers to its channel; the variables may be locals.
template <class T>
struct ReceiveCase {
  Channel<T>& channel;
  std::optional<T>& value;
  bool Try() { return channel.TryReceive(value); }
  void PassOn() { channel.PassOn(); }
  WaitList& Waiters() {
    if (channel.capacity_ == 0) channel.senders_.WakeOne();
    return channel.receivers_;
  }
};
template <class T>
struct SendCase {
  Channel<T>& channel;
  T value;
  bool Try() { return channel.closed() || channel.TrySend(value); }
  void PassOn() { channel.PassOn(); }
  WaitList& Waiters() { return channel.senders_; }
};

// OnReceive() is ready with a value, or with none when the channel is closed and empty.
template <class T>
ReceiveCase<T> OnReceive(Channel<T>& channel, std::optional<T>& value) {
  return {channel, value};
}
// OnSend() is ready when the value has been taken, or dropped because the channel is closed.
template <class T, class U>
SendCase<T> OnSend(Channel<T>& channel, U&& value) {
  return {channel, T(std::forward<U>(value))};
}

// Select() waits until one of the cases can be done, does it and returns its number, from 0; the
// first one wins if several can. -1 after `deadline`, -2 when cancelled. May yield.
template <class... Cases>
int Select(Deadline deadline, Cases... cases) {
  for (bool woken = false;; woken = true) {
    int chosen = -1, number = 0;
    ((chosen < 0 && cases.Try() ? void(chosen = number) : void(), ++number), ...);
    if (chosen >= 0) {
      number = 0;  // it may have been woken for one of the others
      if (woken) ((number++ != chosen ? cases.PassOn() : void()), ...);
      return chosen;
    }
    struct Nodes {
      std::array<WaitNode, sizeof...(Cases)> node;
      ~Nodes() {
        for (WaitNode& each : node) {
          if (each.list != nullptr) each.list->Remove(each);
        }
      }
    };
    const auto nodes = std::make_unique<Nodes>();  // nodes never live on the stack
    WaitNode* node = nodes->node.data();
    ((node->coroutine = Current(), cases.Waiters().Add(*node), ++node), ...);
    OnUnwind pass_on([&] { (cases.PassOn(), ...); });
    const WakeReason reason = Park(WaitKind::kChannel, sizeof...(Cases), deadline);
    pass_on.Disarm();
    if (reason == WakeReason::kTimeout) return -1;
    if (reason == WakeReason::kCancelled) return -2;
  }
}

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_CHANNEL_H_
