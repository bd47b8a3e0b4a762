#include "server/deadline_keeper.h"

#include <algorithm>

#include "coroutine/scheduler.h"

namespace cogi::server {

DeadlineKeeper::Queue& DeadlineKeeper::AddQueue(std::chrono::milliseconds limit) {
  for (const auto& queue : queues_)
    if (queue->limit_ == limit) return *queue;
  queues_.push_back(std::unique_ptr<Queue>(new Queue(*this, limit)));
  return *queues_.back();
}

void DeadlineKeeper::Start() {
  coroutine::Go([this] { Watch(); }, {.name = "deadlines"});
}

DeadlineKeeper::Entry* DeadlineKeeper::Queue::Arm(coroutine::Deadline now) {
  if (keeper_.free_.empty()) {
    keeper_.entries_.emplace_back();
    keeper_.free_.push_back(&keeper_.entries_.back());
  }
  Entry* entry = keeper_.free_.back();
  keeper_.free_.pop_back();
  *entry = Entry{.prev = last_, .coroutine = coroutine::Current(), .deadline = now + limit_};
  (last_ == nullptr ? first_ : last_->next) = entry;
  last_ = entry;
  if (entry->deadline < keeper_.sleeping_until_) {
    keeper_.sleeping_until_ = entry->deadline;
    keeper_.watcher_.WakeOne();
  }
  return entry;
}

void DeadlineKeeper::Queue::Unlink(Entry& entry) {
  (entry.prev == nullptr ? first_ : entry.prev->next) = entry.next;
  (entry.next == nullptr ? last_ : entry.next->prev) = entry.prev;
}

bool DeadlineKeeper::Queue::Disarm(Entry* entry) {
  if (!entry->fired) Unlink(*entry);
  keeper_.free_.push_back(entry);
  return entry->fired;
}

coroutine::Deadline DeadlineKeeper::FireExpired() {
  const auto now = coroutine::Clock::now();
  coroutine::Deadline next = coroutine::kNoDeadline;
  for (const auto& queue : queues_) {
    while (queue->first_ != nullptr && queue->first_->deadline <= now) {
      Entry& entry = *queue->first_;
      queue->Unlink(entry);
      entry.fired = true;
      coroutine::Cancel(*entry.coroutine);
    }
    if (queue->first_ != nullptr) next = std::min(next, queue->first_->deadline);
  }
  return next;
}

void DeadlineKeeper::Watch() {
  coroutine::Coroutine* self = coroutine::Current();
  for (;;) {
    sleeping_until_ = FireExpired();
    coroutine::WaitNode& node = coroutine::WaitNodeOf(*self);
    node.coroutine = self;
    watcher_.Add(node);
    const auto reason = coroutine::Park(coroutine::WaitKind::kTimer, 0, sleeping_until_);
    if (reason == coroutine::WakeReason::kCancelled || reason == coroutine::WakeReason::kClosed)
      return;
  }
}

}  // namespace cogi::server
