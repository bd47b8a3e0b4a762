// The wait node: how a park is recorded and woken. One of the three points on which hooks/ and
// everything else that waits are built (the others are the switch hook and the pin, see
// coroutine.h).
//
// Whatever can be waited for owns a WaitList. A coroutine that has to wait adds a WaitNode to one
// list (or, for a poll of many things, a heap-allocated node to each of several lists) and calls
// Park(). A node never lives on a coroutine's stack: with shared stacks that memory belongs to
// somebody else while the coroutine is parked. The first node of every wait is
// Coroutine::wait_node(), inside the control block.
//
// A list and its waiters belong to one thread. Never yields, Park() apart.
#ifndef COGI_COROUTINE_WAIT_H_
#define COGI_COROUTINE_WAIT_H_

#include <cstddef>
#include <cstdint>

#include "coroutine/deadline.h"
#include "coroutine/export.h"

namespace cogi::coroutine {

class Coroutine;
class WaitList;

// What a parked coroutine waits for, as a dump of all coroutines names it.
enum class WaitKind : uint8_t {
  kNone,
  kFd,         // `subject` is the fd
  kPoll,       // several fds; `subject` is their number
  kTimer,      // a sleep
  kLock,       // a mutex, condition, semaphore or once; `subject` is its address
  kChannel,    // `subject` is its address
  kJoin,       // another coroutine's end
  kProcess,    // a child process; `subject` is its pid
  kName,       // a DNS answer
  kThread,     // a helper thread's answer
  kAdmission,  // a place under a limit
};

// Why a park ended.
enum class WakeReason : uint8_t {
  kReady,      // what was waited for happened
  kTimeout,    // the deadline passed first
  kClosed,     // the thing waited for was closed or destroyed: EBADF to the program
  kCancelled,  // Coroutine::Cancel() was called: ECANCELED to the program
  kResumed,    // somebody resumed it by hand (libco's co_resume): nothing has happened
  kNoMemory,   // there is none for the wait, here or in the kernel: ENOMEM to the program
};

// WaitNode links one parked coroutine into one WaitList. `wanted` and `got` are the owner's of the
// list (the event loop keeps EPOLL* masks there).
struct WaitNode {
  WaitNode* prev = nullptr;
  WaitNode* next = nullptr;
  WaitList* list = nullptr;        // null: not linked
  Coroutine* coroutine = nullptr;  // who is woken
  uint32_t wanted = 0;
  uint32_t got = 0;
};

// WaitList is a FIFO of waiters.
class COGI_API WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  // A list must not be destroyed with waiters in it: WakeAll(kClosed) first.
  ~WaitList();

  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] WaitNode* front() const { return head_; }

  // Add() links `node`, which must not be linked, at the end.
  void Add(WaitNode& node) {
    if (node.list != nullptr) [[unlikely]]
      LinkedTwice();
    node.list = this;
    node.prev = tail_;
    node.next = nullptr;
    (tail_ == nullptr ? head_ : tail_->next) = &node;
    tail_ = &node;
  }
  // Remove() unlinks `node` if it is linked here; else does nothing.
  void Remove(WaitNode& node) {
    if (node.list != this) return;
    (node.prev == nullptr ? head_ : node.prev->next) = node.next;
    (node.next == nullptr ? tail_ : node.next->prev) = node.prev;
    node.prev = node.next = nullptr;
    node.list = nullptr;
  }
  // Wake() unlinks `node` and makes its coroutine ready with `reason`. If another node of the same
  // park was woken before, the first reason stays.
  void Wake(WaitNode& node, WakeReason reason = WakeReason::kReady);
  // WakeOne() wakes the first waiter that has not been woken yet (by another list, its deadline or
  // a cancel), and leaves `got` in its node if that is not 0. Returns false if there was none.
  bool WakeOne(WakeReason reason = WakeReason::kReady, uint32_t got = 0);
  // WakeAll() wakes everyone who waits now. Returns how many.
  size_t WakeAll(WakeReason reason = WakeReason::kReady);

 private:
  [[noreturn]] static void LinkedTwice();

  WaitNode* head_ = nullptr;
  WaitNode* tail_ = nullptr;
};

// Park() suspends the calling coroutine until one of the nodes that it has linked is woken,
// `deadline` passes, or it is cancelled. `kind` and `subject` are only for dumps. Nodes still
// linked when it returns are the caller's to remove, Coroutine::wait_node() apart, which Park()
// unlinks itself. A coroutine that is already cancelled (and not shielded) returns kCancelled at
// once. Must be called inside a coroutine. Yields.
COGI_API WakeReason Park(WaitKind kind, uintptr_t subject, Deadline deadline = kNoDeadline);

// ParkIn() is Park() with the calling coroutine's own node in `waiters`. CHECK: inside a coroutine.
// Yields.
COGI_API WakeReason ParkIn(WaitList& waiters, WaitKind kind, uintptr_t subject,
                           Deadline deadline = kNoDeadline);

// OnUnwind calls `undo` if its block is left before Disarm(): if the coroutine is destroyed in the
// middle of a wait. What it was handed or woken for meanwhile must go to the next one who waits.
template <class Undo>
class OnUnwind {
 public:
  explicit OnUnwind(Undo undo) : undo_(undo) {}
  ~OnUnwind() {
    if (armed_) undo_();
  }
  OnUnwind(const OnUnwind&) = delete;
  OnUnwind& operator=(const OnUnwind&) = delete;
  void Disarm() { armed_ = false; }

 private:
  Undo undo_;
  bool armed_ = true;
};

}  // namespace cogi::coroutine

#endif  // COGI_COROUTINE_WAIT_H_
