// DeadlineKeeper: cancels requests that take too long, or whose client has gone. One coroutine
// watches all requests of a worker; it sleeps to the earliest deadline and is not woken for each
// request, so that a request costs two list operations and an idle worker no timer.
#ifndef COGI_SERVER_DEADLINE_KEEPER_H_
#define COGI_SERVER_DEADLINE_KEEPER_H_

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "coroutine/coroutine.h"
#include "coroutine/deadline.h"
#include "coroutine/wait.h"

namespace cogi::server {

class DeadlineKeeper {
 public:
  // A request that is watched. Lives on the heap: the keeper reads it while the request is parked.
  struct Entry {
    Entry* prev = nullptr;
    Entry* next = nullptr;
    coroutine::Coroutine* coroutine = nullptr;
    coroutine::Deadline deadline{};
    int client = -1;  // the connection that is looked at, or -1
    bool fired = false;
  };

  // Queue holds the requests that have the same time limit, so that the first is the next to end.
  class Queue {
   public:
    // Arm() watches the calling coroutine from `now` on. With a `client` its end is not the limit:
    // the descriptor is looked at each time that the limit has passed, and a coroutine whose client
    // has gone is cancelled. Never yields.
    // Throws std::bad_alloc.
    [[nodiscard]] Entry* Arm(coroutine::Deadline now, int client = -1);
    // Disarm() ends the watch. Returns whether the coroutine was cancelled by it.
    bool Disarm(Entry* entry) noexcept;

   private:
    friend class DeadlineKeeper;
    Queue(DeadlineKeeper& keeper, std::chrono::milliseconds limit)
        : keeper_(keeper), limit_(limit) {}
    void Link(Entry& entry);
    void Unlink(Entry& entry) noexcept;
    DeadlineKeeper& keeper_;
    std::chrono::milliseconds limit_;
    Entry* first_ = nullptr;
    Entry* last_ = nullptr;
  };

  DeadlineKeeper() = default;
  DeadlineKeeper(const DeadlineKeeper&) = delete;
  DeadlineKeeper& operator=(const DeadlineKeeper&) = delete;

  // AddQueue() makes a queue for requests that may take `limit` (more than zero).
  [[nodiscard]] Queue& AddQueue(std::chrono::milliseconds limit);
  // Start() spawns the coroutine on the current scheduler.
  void Start();

 private:
  void Watch();
  coroutine::Deadline FireExpired();

  std::vector<std::unique_ptr<Queue>> queues_;
  std::deque<Entry> entries_;  // never moved
  Entry* free_ = nullptr;      // linked by next
  coroutine::Deadline sleeping_until_ = coroutine::kNoDeadline;
  coroutine::WaitList watcher_;
};

}  // namespace cogi::server

#endif  // COGI_SERVER_DEADLINE_KEEPER_H_
