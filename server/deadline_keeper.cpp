#include "server/deadline_keeper.h"

#include <algorithm>
#include <utility>

#include "coroutine/scheduler.h"
#include "server/real_calls.h"

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

DeadlineKeeper::Entry* DeadlineKeeper::Queue::Arm(coroutine::Deadline now, int client) {
  if (keeper_.free_ == nullptr) keeper_.free_ = &keeper_.entries_.emplace_back();
  Entry* entry = std::exchange(keeper_.free_, keeper_.free_->next);
  *entry = Entry{.coroutine = coroutine::Current(), .deadline = now + limit_, .client = client};
  Link(*entry);
  if (entry->deadline < keeper_.sleeping_until_) {
    keeper_.sleeping_until_ = entry->deadline;
    keeper_.watcher_.WakeOne();
  }
  return entry;
}

void DeadlineKeeper::Queue::Link(Entry& entry) {
  entry.prev = last_;
  entry.next = nullptr;
  (last_ == nullptr ? first_ : last_->next) = &entry;
  last_ = &entry;
}

void DeadlineKeeper::Queue::Unlink(Entry& entry) noexcept {
  (entry.prev == nullptr ? first_ : entry.prev->next) = entry.next;
  (entry.next == nullptr ? last_ : entry.next->prev) = entry.prev;
}

bool DeadlineKeeper::Queue::Disarm(Entry* entry) noexcept {
  if (!entry->fired) Unlink(*entry);
  entry->next = std::exchange(keeper_.free_, entry);
  return entry->fired;
}

coroutine::Deadline DeadlineKeeper::FireExpired() {
  const auto now = coroutine::Clock::now();
  coroutine::Deadline next = coroutine::kNoDeadline;
  for (const auto& queue : queues_) {
    while (queue->first_ != nullptr && queue->first_->deadline <= now) {
      Entry& entry = *queue->first_;
      queue->Unlink(entry);
      if (entry.client >= 0 && !PeerHasGone(entry.client)) {
        entry.deadline = now + queue->limit_;
        queue->Link(entry);
        continue;
      }
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
